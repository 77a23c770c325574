"""From what people type to the stacks they mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.cli.errors import CliError, ExitCode

Row = dict[str, Any]


def choose(rows: Sequence[Row], reference: str) -> Row:
    """The one stack whose id or name is `reference`, else the one whose id or name starts with it.

    Names are compared without regard to case. Raises CliError where none or several fit.
    """
    wanted = reference.strip().casefold()
    if not wanted:
        raise CliError("the name of a stack must not be empty; `stackbeat ls` lists them", ExitCode.NO_STACK)
    exact = [row for row in rows if wanted in _handles(row)]
    fitting = exact or [row for row in rows if any(handle.startswith(wanted) for handle in _handles(row))]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise CliError(f"no stack is called {reference!r}; `stackbeat ls` lists them", ExitCode.NO_STACK)
    some = ", ".join(f"{row['participant_name']} ({row['id']})" for row in fitting[:5])
    more = f" and {len(fitting) - 5} more" if len(fitting) > 5 else ""
    raise CliError(f"{reference!r} fits {len(fitting)} stacks: {some}{more}; give more of the id", ExitCode.NO_STACK)


def choose_all(rows: Sequence[Row], references: Sequence[str]) -> list[Row]:
    """The stacks of all references, each once, in the order given. Raises as `choose` before anything is returned."""
    chosen = {row["id"]: row for row in (choose(rows, reference) for reference in references)}
    return list(chosen.values())


def _handles(row: Row) -> tuple[str, str]:
    return row["id"], row["participant_name"].casefold()
