"""`kill -9` at every step of a run: another daemon goes on within the lease + 1 s, nothing twice, nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from faults.place import LEASE_S, Place
from faults.promises import answered, assert_kept, built, taken_over
from faults.provider import End, Provider
from faults.wire import Block, Side, Wire
from processes import eventually

Figure = Callable[[str, str], None]


@dataclass(frozen=True, kw_only=True)
class Step:
    """Where the daemon stands when it is killed: `arm` builds the trap, `sprung` says that it stands there.

    `unreported` counts the calls whose replies die with it. Each run of the stage makes one: the builder's and the
    communicator's.
    """

    name: str
    arm: Callable[[Wire, Provider], Block | None]
    sprung: Callable[[Place, Provider, Block | None], Any]
    unreported: int


def at_wire(place: Place, provider: Provider, block: Block | None) -> bool:
    return block is not None and bool(block.reached)


def at_provider(place: Place, provider: Provider, block: Block | None) -> bool:
    return len(provider.open) == 2


def replied(place: Place, provider: Provider, block: Block | None) -> bool:
    return at_wire(place, provider, block) and len(provider.ended(End.ANSWERED)) == 2


def all_judged(place: Place, provider: Provider, block: Block | None) -> Any:
    return at_wire(place, provider, block) and place.one(
        "select count(*) = 2 from agent_executions where status = 'completed'"
    )


def one_judged(place: Place, provider: Provider, block: Block | None) -> Any:
    """The communicator's run is judged, and only then the builder gets its reply."""
    if place.one("select count(*) = 1 from agent_executions where status = 'completed'"):
        provider.release()
    return at_wire(place, provider, block)


def hold_all(wire: Wire, provider: Provider) -> None:
    provider.hold()


def hold_the_last(wire: Wire, provider: Provider) -> Block:
    provider.hold("builder")
    return wire.block(Side.BEFORE, "commit_runs", when=lambda asked, _: bool(asked["settlements"]))


STEPS = (
    Step(
        name="claimed but not told so",
        arm=lambda wire, _: wire.block(Side.AFTER, "claim_due_stacks", when=lambda _, told: bool(told["stacks"])),
        sprung=at_wire,
        unreported=0,
    ),
    Step(
        name="claimed and about to begin",
        arm=lambda wire, _: wire.block(Side.BEFORE, "begin_runs"),
        sprung=at_wire,
        unreported=0,
    ),
    Step(
        name="begun and about to ask the model",
        arm=lambda wire, _: wire.block(Side.AFTER, "begin_runs"),
        sprung=at_wire,
        unreported=0,
    ),
    Step(name="asking the model", arm=hold_all, sprung=at_provider, unreported=2),
    Step(
        name="answered and about to commit",
        arm=lambda wire, _: wire.block(Side.BEFORE, "commit_runs"),
        sprung=replied,
        unreported=2,
    ),
    Step(
        name="committed but not told so",
        arm=lambda wire, _: wire.block(Side.AFTER, "commit_runs", when=lambda asked, _: bool(asked["settlements"])),
        sprung=all_judged,
        unreported=0,
    ),
    Step(
        name="one run judged, the last one and the settlement on their way",
        arm=hold_the_last,
        sprung=one_judged,
        unreported=1,
    ),
)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_killed(step: Step, place: Place, provider: Provider, wire: Wire, daemon: Any, figure: Figure) -> None:
    stack = place.stack("Owls", todos=2, visitor=True, state="idle")
    dying = daemon("dying", wire=wire)
    block = step.arm(wire, provider)
    place.move("running", stack)
    eventually(lambda: step.sprung(place, provider, block), within=20, what=step.name)
    daemon("heir")
    dying.kill()
    dying.wait(10)
    now, lease_end = place.sql(
        "select clock_timestamp(), lease_expires_at from stack_schedule where stack_id = %s", stack
    )[0]
    provider.release()
    # A settled stack is under no lease any more, and its next run need not wait for one.
    late = taken_over(place, stack, "heir", lease_end=lease_end or now + timedelta(seconds=LEASE_S))
    figure("the next run began after the lease's end", f"{late:+.3f} s")
    built(place, 2)
    answered(place, 1)
    assert_kept(place, provider, unreported=step.unreported)


def test_killed_between_the_verdict_of_its_only_run_and_the_settlement(
    place: Place, provider: Provider, wire: Wire, daemon: Any, figure: Figure
) -> None:
    """A run that writes to another stack is judged before its cycle is settled, in a call of its own."""
    other = place.stack("Boats", todos=0, state="idle")
    stack = place.stack("Owls", todos=0, state="idle")
    place.sql(
        "insert into todos (stack_id, content, priority, available_at) values (%s, 'Build part 0', 9, now() + '6 s')",
        stack,
    )
    place.sql(
        "insert into messages (from_stack_id, to_stack_id, content, message_type) "
        "values (%s, %s, 'Together?', 'direct')",
        *(other, stack),
    )
    dying = daemon("dying", wire=wire)
    block = wire.block(Side.BEFORE, "commit_runs", when=lambda asked, _: not asked["runs"])
    place.move("running", stack)
    eventually(lambda: block.reached, within=20, what="the settlement on its way")
    assert place.one("select status from agent_executions where stack_id = %s", stack) == "completed"
    daemon("heir")
    dying.kill()
    lease_end = place.one("select lease_expires_at from stack_schedule where stack_id = %s", stack)
    claimed = place.until(
        "select max(claimed_at) from stack_schedule where stack_id = %s and claimed_at >= %s",
        *(stack, lease_end),
    )
    figure("the next claim came after the lease's end", f"{(claimed - lease_end).total_seconds():+.3f} s")
    built(place, 1)
    assert place.one("select count(*) from messages where to_stack_id = %s", other) == 1
    assert_kept(place, provider)


def test_the_last_commit_of_a_killed_daemon_arrives_late(
    place: Place, provider: Provider, wire: Wire, daemon: Any
) -> None:
    """It was on its way when the daemon died and comes after the take-over: its costs count, its effects do not."""
    stack = place.stack("Owls", state="idle")
    dying = daemon("dying", wire=wire)
    commit = wire.block(Side.BEFORE, "commit_runs", delivers=True)
    place.move("running", stack)
    eventually(lambda: commit.reached, within=20, what="the commit on its way")
    (late,) = (run["run_id"] for run in commit.reached[0]["runs"])
    dying.kill()
    daemon("heir")
    built(place, 1)
    wire.lift(commit)
    place.until("select count(*) > 0 from llm_calls where run_id = %s and error is null", late)
    assert place.one("select status from agent_executions where id = %s", late) == "abandoned"
    assert place.one("select count(*) from agent_traces where run_id = %s", late) == 0
    assert_kept(place, provider)
