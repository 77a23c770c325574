"""What became of a change, in a sentence for the debug log: nobody has to guess why nothing arrived."""

from __future__ import annotations

from collections.abc import Sequence

from minibase.realtime.changes import RowChange
from minibase.realtime.matching import Hit, Plan


def name_change(change: RowChange) -> str:
    """The change, its table and its key."""
    table, key = change.layout.table, change.key()
    where = "no key" if not key else ", ".join(f"{name}={value}" for name, value in zip(table.key, key, strict=True))
    return f"{change.kind} of {table.schema}.{table.name} ({where})"


def account(change: RowChange, plan: Plan, hits: Sequence[Hit], *, visible: bool) -> str:
    """Who of the role and claims that share the plan is sent the change, and why the others are not."""
    listening, matched = len(plan.routes), len({hit.cohort for hit in hits})
    error = plan.error(change)
    if not listening:
        outcome = "no subscription covers it, or none of them can be served"
    elif not matched:
        outcome = f"kept from all {listening} subscriptions by their event or filter"
    elif error is not None:
        outcome = f"told to {matched} subscriptions as {error!r}"
    elif not visible:
        outcome = f"hidden by row-level security from {matched} subscriptions"
    else:
        topics = ", ".join(sorted({hit.cohort.topic for hit in hits})[:5])
        outcome = f"sent to {matched} of {listening} subscriptions ({topics})"
    return f"{name_change(change)}: {outcome}"
