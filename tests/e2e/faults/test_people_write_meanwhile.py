"""Bulk UPDATEs of all stacks while runs begin and commit: nobody waits for ever, nothing deadlocks, nothing is lost."""

from __future__ import annotations

from typing import Any

from faults.place import Place
from faults.promises import answered, assert_kept, built
from faults.provider import Provider
from processes import eventually

STACKS = 20
ALL_BUILT = "select count(*) = %s from todos where content like 'Build part%%' and status = 'completed'"
DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"


def test_bulk_updates_of_all_stacks(place: Place, provider: Provider, daemon: Any, figure: Any) -> None:
    before = place.one(DEADLOCKS)
    stacks = [place.stack(f"Stack {n}", todos=2, visitor=True, state="idle") for n in range(STACKS)]
    daemon("one")
    daemon("two")
    place.move("running", *stacks)
    updates = 0
    with place.connect() as person:

        def update_everything() -> bool:
            nonlocal updates
            person.execute("update agent_stacks set priority = 1 + (priority + 1) % 9")
            person.execute("update todos set priority = priority where status = 'pending'")
            person.execute("select pg_sleep(0.05)")  # an open transaction, as a SQL prompt leaves it
            person.commit()
            updates += 1
            return bool(place.one(ALL_BUILT, 2 * STACKS))

        eventually(update_everything, within=60, what="everything is built")
    figure("bulk updates meanwhile", str(updates))
    answered(place, STACKS)
    assert place.one("select pg_stat_force_next_flush()") is not None
    assert place.one(DEADLOCKS) == before
    assert_kept(place, provider)


def test_everything_is_stopped_and_played_again_while_replies_come(
    place: Place, provider: Provider, daemon: Any
) -> None:
    stacks = [place.stack(f"Stack {n}", visitor=True, state="idle") for n in range(STACKS)]
    daemon("one")
    daemon("two")
    place.move("running", *stacks)
    for _ in range(5):
        seen = provider.count
        eventually(lambda seen=seen: provider.count > seen, within=20, what="somebody asks")
        place.move("stopped")
        place.move("running")
    built(place, STACKS)
    answered(place, STACKS)
    assert_kept(place, provider, cut_short=True)
