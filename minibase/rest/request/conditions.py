"""Filters: `col=not.op(modifier).value` in the query string, and the same inside `and=(...)`, `or=(...)` trees.

The two places differ in one thing only: at top level a value runs to the end of the parameter, inside a tree it ends at
the next comma or closing parenthesis unless quoted or in braces.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from minibase.rest.request.fields import read_field
from minibase.rest.request.scanner import Scanner
from minibase.rest.request.values import (
    Comparator,
    Compare,
    Condition,
    ConditionTree,
    Field,
    Group,
    Is,
    IsWord,
    OneOf,
    Quantifier,
    Search,
    SearchMode,
    Test,
)

_OPERATOR = re.compile(r"([a-z]+)(?:\(([^()]*)\))?\.")
_GROUP = re.compile(r"(not\.)?(and|or)\(")
# Braces keep their commas, double quotes keep everything, up to the end of the member.
_TREE_VALUE = re.compile(r'\{(?:[^{}"]|"(?:[^"\\]|\\.)*"|\{[^{}]*\})*\}|[^,()]*', re.DOTALL)
_LIST_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"(?=[,)])', re.DOTALL)
_LIST_BARE = re.compile(r"[^,)]*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_CONFIG = re.compile(r"[A-Za-z0-9_]+")

_COMPARATORS: Final = {member.value: member for member in Comparator}
_SEARCH_MODES: Final = {member.value: member for member in SearchMode}
_QUANTIFIABLE: Final = frozenset(
    {
        Comparator.EQ,
        Comparator.GT,
        Comparator.GTE,
        Comparator.LT,
        Comparator.LTE,
        Comparator.LIKE,
        Comparator.ILIKE,
        Comparator.MATCH,
        Comparator.IMATCH,
    }
)
_IS_WORDS: Final[dict[str, IsWord]] = {
    "null": "null",
    "not_null": "not null",
    "true": "true",
    "false": "false",
    "unknown": "unknown",
}
MAX_DEPTH: Final = 24


def parse_filter(field: Field, text: str) -> Condition:
    """One filter of the query string: `text` is all that stood right of the equals sign.

    Raises RestError PGRST100 for an unknown operator or a malformed operand.
    """
    scanner = Scanner(text, "filter")
    condition = _read_test(scanner, field, in_tree=False)
    scanner.finish()
    return condition


def parse_group(joiner: Literal["and", "or"], text: str, *, negated: bool) -> Group:
    """The value of an `and=`/`or=` parameter: a parenthesised list of conditions and groups."""
    scanner = Scanner(text, "logic tree")
    scanner.skip_spaces()
    scanner.expect("(")
    members = _read_members(scanner, depth=0)
    scanner.finish()
    return Group(joiner=joiner, members=members, negated=negated)


def _read_members(scanner: Scanner, *, depth: int) -> tuple[ConditionTree, ...]:
    if depth > MAX_DEPTH:
        raise scanner.error(f"expecting at most {MAX_DEPTH} levels of nesting")
    members = [_read_member(scanner, depth=depth)]
    while scanner.accept(","):
        members.append(_read_member(scanner, depth=depth))
    scanner.expect(")")
    scanner.skip_spaces()
    return tuple(members)


def _read_member(scanner: Scanner, *, depth: int) -> ConditionTree:
    scanner.skip_spaces()
    group = scanner.match(_GROUP)
    if group:
        joiner: Literal["and", "or"] = "and" if group.group(2) == "and" else "or"
        return Group(joiner=joiner, members=_read_members(scanner, depth=depth + 1), negated=bool(group.group(1)))
    field = read_field(scanner)
    scanner.expect(".")
    condition = _read_test(scanner, field, in_tree=True)
    scanner.skip_spaces()
    return condition


def _read_test(scanner: Scanner, field: Field, *, in_tree: bool) -> Condition:
    negated = scanner.accept("not.")
    operator = scanner.match(_OPERATOR)
    if not operator:
        raise scanner.error("expecting operator (eq, gt, ...)")
    word, modifier = operator.group(1), operator.group(2)
    return Condition(field=field, test=_read_operand(scanner, word, modifier, in_tree=in_tree), negated=negated)


def _read_operand(scanner: Scanner, word: str, modifier: str | None, *, in_tree: bool) -> Test:
    if word == "in" and modifier is None:
        return OneOf(values=_read_list(scanner))
    if word == "is" and modifier is None:
        return _read_is(scanner, in_tree=in_tree)
    if word in _SEARCH_MODES:
        if modifier is not None and not _CONFIG.fullmatch(modifier):
            raise scanner.error("expecting the name of a text search configuration")
        return Search(mode=_SEARCH_MODES[word], query=_read_value(scanner, in_tree=in_tree), config=modifier)
    comparator = _COMPARATORS.get(word)
    if comparator is None:
        raise scanner.error(f'expecting operator (eq, gt, ...), not "{word}"')
    quantifier = _read_quantifier(scanner, comparator, modifier)
    return Compare(comparator=comparator, value=_read_value(scanner, in_tree=in_tree), quantifier=quantifier)


def _read_quantifier(scanner: Scanner, comparator: Comparator, modifier: str | None) -> Quantifier | None:
    if modifier is None:
        return None
    if comparator in _QUANTIFIABLE:
        if modifier == "any":
            return "any"
        if modifier == "all":
            return "all"
    raise scanner.error(f'expecting any or all after an operator that takes them, not "{comparator}({modifier})"')


def _read_value(scanner: Scanner, *, in_tree: bool) -> str:
    if not in_tree:
        rest = scanner.text[scanner.position :]
        scanner.position = len(scanner.text)
        return rest
    quoted = scanner.quoted()
    if quoted is not None:
        return quoted
    found = scanner.match(_TREE_VALUE)
    return found.group() if found else ""


def _read_is(scanner: Scanner, *, in_tree: bool) -> Is:
    start = scanner.position
    word = _IS_WORDS.get(_read_value(scanner, in_tree=in_tree).strip().lower())
    if word is None:
        scanner.position = start
        raise scanner.error("expecting null, not_null, true, false or unknown")
    return Is(word=word)


def _read_list(scanner: Scanner) -> tuple[str, ...]:
    """`(1,"a,b",c)`: a quote that is not closed right before `,` or `)` is data."""
    scanner.expect("(")
    if scanner.accept(")"):
        return ()
    values = [_read_element(scanner)]
    while scanner.accept(","):
        values.append(_read_element(scanner))
    scanner.expect(")")
    return tuple(values)


def _read_element(scanner: Scanner) -> str:
    quoted = scanner.match(_LIST_QUOTED)
    if quoted:
        return _ESCAPE.sub(r"\1", quoted.group(1))
    bare = scanner.match(_LIST_BARE)
    return bare.group() if bare else ""
