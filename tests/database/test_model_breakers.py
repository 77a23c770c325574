"""Which models each daemon leaves alone: rows of its own, for operators, gone with the daemon."""

from __future__ import annotations

import uuid

import pytest


async def worker(db, silent_s=0, **beat):
    me = uuid.uuid4()
    await db.verb("heartbeat", worker=me, name="w", version="1", slots=1, lease_ms=15000, leases=[], **beat)
    if silent_s:
        await db.admin.execute(
            "update workers set heartbeat_at = heartbeat_at - make_interval(secs => $2) where id = $1", me, silent_s
        )
    return me


def opened(model="m", **changes):
    row = {"provider": "groq", "model": model, "state": "open", "failures": 3, "opened_ms": 2000, "rest_ms": 5000}
    return row | {"error": "503"} | changes


async def rows(db):
    return await db.as_operator(
        "select worker_id, model, state, failures, error, closed_at is not null as was_closed, "
        "extract(epoch from open_until - opened_at)::int as rest_s from model_breakers order by worker_id, model"
    )


async def test_each_worker_has_rows_of_its_own_and_a_report_replaces_what_changed(db):
    one, other = sorted([await worker(db), await worker(db)])
    await db.verb("report_breakers", worker=one, breakers=[opened("a"), opened("b")])
    await db.verb("report_breakers", worker=other, breakers=[opened("a", failures=7)])
    for _ in range(2):  # an answer that was lost: the same once more
        closed = opened("a", state="closed", closed_ms=10)
        await db.verb("report_breakers", worker=one, breakers=[closed, opened("b", rest_ms=60_000)])
    assert [tuple(row) for row in await rows(db)] == [
        (one, "a", "closed", 3, "503", True, 5),
        (one, "b", "open", 3, "503", False, 60),
        (other, "a", "open", 7, "503", False, 5),
    ]
    ago = await db.one("select extract(epoch from internal.clock() - max(opened_at)) from model_breakers")
    assert 2 <= ago < 30


async def test_they_go_when_the_worker_leaves_and_when_somebody_notices_that_it_died(db):
    leaving, dead, alive = await worker(db), await worker(db), await worker(db)
    for each in (leaving, dead, alive):
        await db.verb("report_breakers", worker=each, breakers=[opened()])
    await db.verb("heartbeat", worker=leaving, name="w", version="1", slots=1, lease_ms=15000, leases=[], stopping=True)
    assert {row["worker_id"] for row in await rows(db)} == {dead, alive}
    await db.verb("report_breakers", worker=leaving, breakers=[opened()])
    assert {row["worker_id"] for row in await rows(db)} == {dead, alive}, "a late report of one that left"
    await db.admin.execute("update workers set heartbeat_at = heartbeat_at - interval '2 minutes' where id = $1", dead)
    await db.verb("report_breakers", worker=alive, breakers=[opened()])
    assert {row["worker_id"] for row in await rows(db)} == {alive}


async def test_a_report_of_an_unknown_worker_leaves_nothing(db):
    await db.verb("report_breakers", worker=uuid.uuid4(), breakers=[opened()])
    assert await rows(db) == []


async def test_only_operators_look_and_nobody_but_the_machine_writes(db):
    await db.verb("report_breakers", worker=await worker(db), breakers=[opened()])
    assert len(await rows(db)) == 1
    with pytest.raises(Exception, match="permission denied"):
        await db.as_person("select * from model_breakers")
    assert await db.as_person("select * from model_breakers", role="authenticated") == []
    with pytest.raises(Exception, match="permission denied"):
        await db.as_operator("delete from model_breakers")
    with pytest.raises(Exception, match="permission denied"):
        await db.as_operator("select report_breakers('{}')")
