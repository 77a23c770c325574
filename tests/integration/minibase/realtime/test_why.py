"""`minibase realtime why` and the debug log: every reason for silence has its words."""

from __future__ import annotations

import logging
from typing import Any

import asyncpg
import pytest

from minibase.errors import MinibaseError
from minibase.realtime.why import Verdict, read_doubt, why
from tests.integration.minibase.realtime.conftest import ADA, BOB, Dial

AS_ADA = f'{{"role": "authenticated", "sub": "{ADA}"}}'

MORE = f"""
create table quiet (id int primary key);
create table closed (id int primary key);
revoke all on closed from anon;
create table keyless (a int);
create table guarded (id int primary key);
alter table guarded enable row level security;
create table raising (id int primary key);
alter table raising enable row level security;
create policy p on raising for select using (1 / id > 0);
alter publication supabase_realtime add table closed, keyless, guarded, raising;
insert into todos (id, title, owner) values (1, 'a', '{ADA}'), (2, 'b', '{BOB}');
insert into raising values (0);
"""

CASES: list[tuple[dict[str, Any], str, str]] = [
    ({"table": "missing"}, "no", "there is no table public.missing"),
    ({"table": "quiet"}, "no", "alter publication supabase_realtime add table public.quiet;"),
    ({"table": "closed"}, "no", "Error 401"),
    ({"table": "keyless"}, "no", "Error 400"),
    ({"table": "guarded"}, "no", "no SELECT policy concerns role anon"),
    ({"table": "todos", "role": "nobody"}, "no", "role nobody does not exist"),
    ({"table": "todos"}, "note", "policies decide row by row: everybody"),
    ({"table": "notes"}, "yes", "not shown for want of a grant: secret"),
    ({"table": "todos", "claims": AS_ADA, "pk": ["1"]}, "yes", "the row id=1 is visible"),
    ({"table": "todos", "claims": AS_ADA, "pk": ["id=2"]}, "no", "policies hide it"),
    ({"table": "todos", "claims": AS_ADA, "pk": ["3"]}, "no", "there is no row id=3 now"),
    ({"table": "raising", "pk": ["0"]}, "no", "division by zero"),
    ({"table": "todos", "wanted": "nope=eq.1"}, "no", "'nope' does not exist"),
    ({"table": "todos", "wanted": "id=zz.1"}, "no", "the filter is refused"),
    ({"table": "todos", "wanted": "title=like.%b", "claims": AS_ADA, "pk": ["1"]}, "no", "title is a"),
    ({"table": "todos", "wanted": "id=gt.0", "claims": AS_ADA, "pk": ["1"]}, "yes", "the filter matches"),
]


async def test_every_reason_has_its_words(api: Any, owner: asyncpg.Connection) -> None:
    await owner.execute(MORE)
    for case, verdict, words in CASES:
        asked = dict(case)
        doubt = read_doubt(asked.pop("table"), asked.pop("pk", ()), **asked)
        found = await why(api.endpoint, doubt)
        assert any(words in each.text and each.verdict == verdict for each in found), (case, found)
        fits = all(each.verdict is not Verdict.NO for each in found)
        assert fits == (verdict != "no"), (case, found)


async def test_what_cannot_be_asked_is_refused(api: Any, owner: asyncpg.Connection) -> None:
    with pytest.raises(MinibaseError, match="--pk id=VALUE"):
        await why(api.endpoint, read_doubt("todos", ["other=1"]))
    for claims in ("{", "[]"):
        with pytest.raises(MinibaseError, match="--claims"):
            read_doubt("todos", (), claims=claims)


async def test_the_log_says_what_became_of_a_change(
    dial: Dial, owner: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="minibase.realtime")
    async with dial() as wire:
        await wire.join({"event": "*", "schema": "public", "table": "todos", "filter": "id=lt.9"})
        await owner.execute("insert into todos (id, owner) values (1, $1), (9, null), (2, null)", ADA)
        await wire.change()
    hidden, filtered, sent = (message for message in caplog.messages if "INSERT of public.todos" in message)
    assert "(id=1): hidden by row-level security from 1 subscriptions" in hidden
    assert "(id=9): kept from all 1 subscriptions by their event or filter" in filtered
    assert "(id=2): sent to 1 of 1 subscriptions (realtime:room)" in sent
