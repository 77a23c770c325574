"""What a stack sees of what all stacks of its claim see alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from agents.snapshot import MOST_MESSAGES, MOST_NEIGHBOURS, Neighbour, Snapshot, Surroundings, TeamMessage

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ME = uuid4()


def said(n: int, by: UUID | None = None) -> TeamMessage:
    return TeamMessage(id=uuid4(), content=f"{n}", from_stack_id=by, created_at=NOON + timedelta(seconds=n))


def seen(around: Surroundings, *, born: int = 0, **own: Any) -> Snapshot:
    stack = {"id": ME, "name": "Owls", "created_at": NOON + timedelta(seconds=born)}
    return Snapshot.read({"now": NOON + timedelta(hours=1), "stack": stack, **own}, around)


def contents(snapshot: Snapshot) -> list[str]:
    return [message.content for message in snapshot.team_messages]


def test_a_stack_sees_what_others_told_all():
    assert contents(seen(Surroundings(broadcasts=(said(1), said(2, uuid4()))))) == ["1", "2"]


def test_a_stack_does_not_hear_itself():
    assert contents(seen(Surroundings(broadcasts=(said(1, ME), said(2, uuid4()))))) == ["2"]


def test_a_stack_does_not_hear_what_was_told_before_it_was_made():
    assert contents(seen(Surroundings(broadcasts=(said(1), said(2), said(3))), born=2)) == ["3"]


def test_what_a_stack_has_heard_is_counted_off_by_its_place():
    assert contents(seen(Surroundings(broadcasts=(said(1), said(2), said(3))), heard=[1])) == ["1", "3"]


def test_the_oldest_come_first_and_not_more_than_the_bound():
    around = Surroundings(broadcasts=tuple(said(n) for n in range(1, 51)))

    assert contents(seen(around)) == [f"{n}" for n in range(1, MOST_MESSAGES + 1)]


def test_messages_to_the_stack_itself_stand_among_the_others_by_their_time():
    direct = said(2, uuid4()).model_dump(mode="json")

    assert contents(seen(Surroundings(broadcasts=(said(1), said(3))), team_messages=[direct])) == ["1", "2", "3"]


def test_a_stack_is_not_its_own_neighbour():
    others = tuple(Neighbour(id=uuid4(), name=f"{n}") for n in range(MOST_NEIGHBOURS))

    assert seen(Surroundings(neighbours=(others[0], Neighbour(id=ME, name="Owls"), *others[1:]))).neighbours == others
    assert len(seen(Surroundings(neighbours=(*others, Neighbour(id=uuid4(), name="x")))).neighbours) == MOST_NEIGHBOURS
