"""The sentences by which the program says what cannot be: read from its source, `…` where a value stands."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ELLIPSIS = "…"


def raised(source: Path, error: str) -> set[tuple[str, str]]:
    """Every sentence that `error(sentence, code)` is called with in a folder of modules, with the name of its code.

    Left out is what is passed on as it came from elsewhere: a sentence of its own it has there.
    """
    return {
        (sentence, code)
        for path in source.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == error and node.args
        for code in [_code(node)]
        for sentence in _sentences(node.args[0])
    }


def _code(call: ast.Call) -> str:
    """`USAGE` of `ExitCode.USAGE`; both of a choice; FAILED where none is given."""
    if len(call.args) < 2:
        return "FAILED"
    names = [node.attr for node in ast.walk(call.args[1]) if isinstance(node, ast.Attribute)]
    return " or ".join(sorted(names)) or ELLIPSIS


def _sentences(text: ast.expr) -> Iterator[str]:
    match text:
        case ast.Constant(value=str() as value):
            yield value
        case ast.JoinedStr(values=values):
            parts = [part.value if isinstance(part, ast.Constant) else ELLIPSIS for part in values]
            yield "".join(str(part) for part in parts)
        case ast.BoolOp(values=values):
            for value in values:
                yield from _sentences(value)
        case _:
            return
