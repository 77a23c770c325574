"""Why a change of a table does, or does not, reach a subscriber: what is asked in service, answered in words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson

from minibase.errors import MinibaseError
from minibase.postgres.endpoint import Endpoint, Login
from minibase.realtime import filters, matching, statements
from minibase.realtime.bindings import Binding, BindingError, Change, parse
from minibase.realtime.catalogue import Catalogue
from minibase.realtime.matching import Condition
from minibase.realtime.sessions import Identity, Session, SessionPool, connect
from minibase.realtime.tables import Access, MisfitError, Rows, Table
from minibase.realtime.tokens import Claims
from minibase.realtime.visibility import Visibility

_SQL = (Path(__file__).parent.parent / "sql" / "queries" / "realtime_why.sql").read_text(encoding="utf-8")

EXAMPLE = """'{"sub": "…"}'"""


class Verdict(StrEnum):
    YES = "yes"
    NO = "no"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. NO: this alone keeps changes from the subscriber."""

    verdict: Verdict
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """What is asked about: a table, as whom, and, if given, a row by its key and a binding's filter."""

    schema: str
    table: str
    claims: Claims
    key: Mapping[str, str] | None
    filter: str | None


def read_doubt(
    table: str, pk: Sequence[str], role: str | None = None, claims: str | None = None, wanted: str | None = None
) -> Doubt:
    """The command's words as a question; MinibaseError for claims that are no JSON object."""
    try:
        told = orjson.loads(claims or "{}")
    except orjson.JSONDecodeError as error:
        raise MinibaseError(f"--claims is not JSON: {error}. Give an object, such as {EXAMPLE}.") from error
    if not isinstance(told, dict):
        raise MinibaseError(f"--claims must be a JSON object, such as {EXAMPLE}.")
    told["role"] = role or told.get("role") or "anon"
    schema, _, name = table.rpartition(".")
    parts = [part.partition("=") if "=" in part else ("", "", part) for part in pk]
    text = orjson.dumps(told, option=orjson.OPT_SORT_KEYS).decode()
    return Doubt(
        schema=schema or "public",
        table=name,
        claims=Claims(role=str(told["role"]), expires_at=0.0, text=text),
        key={column: value for column, _, value in parts} if parts else None,
        filter=wanted,
    )


async def why(endpoint: Endpoint, doubt: Doubt) -> list[Finding]:
    """The findings, in the order in which they decide, up to the one that leaves nothing more to ask.

    MinibaseError for a key that is not the table's.
    """
    admin = Session(lambda: connect(endpoint, Login.ADMIN))
    pool = SessionPool(endpoint, 1)
    try:
        inquiry = _Inquiry(doubt, admin, Catalogue(admin), Visibility(pool))
        return [finding async for finding in inquiry.findings()]
    finally:
        await admin.close()
        await pool.close()


def streamed(facts: Mapping[str, Any], name: str) -> list[Finding]:
    """Whether the log's stream carries the table; `facts` is a row of realtime_why.sql."""
    if not facts["published"]:
        fix = f"alter publication supabase_realtime add table {name};"
        return [_no(f"{name} is not in the publication supabase_realtime, so nobody hears of it. {fix}")]
    kinds = [kind for kind in Change if facts[kind]]
    found = [_yes(f"published: {', '.join(kinds) or 'no kind of change'}")]
    if facts["row_filter"]:
        found.append(_note(f"the publication carries only rows where {facts['row_filter']}"))
    missing = [column for column in facts["all_columns"] if column not in (facts["columns"] or ())]
    if missing:
        found.append(_note(f"the publication leaves out the columns {', '.join(missing)}"))
    if facts["identity"] == "n":
        found.append(_note("replica identity is nothing: PostgreSQL refuses UPDATE and DELETE of a published table"))
    return found


def granted(table: Table, access: Access, role: str) -> list[Finding]:
    """What the role's grants let it be shown."""
    if not access.selectable:
        return [_no(f"role {role} may select nothing of it: subscribers get Error 401. Grant select on the table.")]
    if not table.key:
        return [_no("it has no primary key: subscribers get Error 400 for INSERT and UPDATE. Give it one.")]
    if not access.reads_key(table):
        return [_no(f"role {role} may not select the key ({', '.join(table.key)}): subscribers get Error 401.")]
    hidden = [column for column in table.columns if column not in access.selectable]
    without = f"; not shown for want of a grant: {', '.join(hidden)}" if hidden else ""
    return [_yes(f"role {role} may select the key ({', '.join(table.key)}){without}")]


def guarded(access: Access, role: str, policies: Sequence[str]) -> Finding:
    """What row-level security means for the table as a whole."""
    names = ", ".join(policies)
    match access.rows:
        case Rows.ALL:
            return _yes(f"row-level security hides no row from role {role}")
        case Rows.NONE:
            return _no(
                f"row-level security is on and no SELECT policy concerns role {role}: it hears of DELETE only, "
                "and there of the key only. Add a policy for select."
            )
        case Rows.ASK:
            return _note(f"policies decide row by row: {names}. Name a row with --pk to ask about it")


class _Inquiry:
    def __init__(self, doubt: Doubt, admin: Session, catalogue: Catalogue, visibility: Visibility) -> None:
        self._doubt = doubt
        self._admin = admin
        self._catalogue = catalogue
        self._visibility = visibility

    async def findings(self) -> AsyncIterator[Finding]:
        doubt, role = self._doubt, self._doubt.claims.role
        rows = await self._admin.fetch(_SQL, doubt.schema, doubt.table, role)
        if not rows:
            yield _no(f"there is no table {doubt.schema}.{doubt.table}")
            return
        facts = dict(rows[0])
        for finding in streamed(facts, f"{doubt.schema}.{doubt.table}"):
            yield finding
        table = await self._catalogue.table(facts["oid"])
        access = (await self._catalogue.load_access(role, [facts["oid"]])).get(facts["oid"])
        if table is None or access is None:
            yield _no(f"role {role} does not exist, or the API may not become it (grant {role} to authenticator)")
            return
        found = granted(table, access, role)
        found.append(guarded(access, role, facts["policies"]))
        for finding in found:
            yield finding
        identity = Identity(role=role, claims=doubt.claims.text, time_limit=access.time_limit)
        if doubt.key is not None and access.rows is Rows.ASK and access.reads_key(table):
            yield await self._row(identity, table)
        if doubt.filter is not None:
            yield await self._filter(identity, table, access)
        yield _note(
            "a subscriber hears of what is committed after its join's answer, and of DELETE whatever policies say"
        )

    async def _row(self, identity: Identity, table: Table) -> Finding:
        key = _key(table, self._doubt.key or {})
        shown = ", ".join(f"{column}={value}" for column, value in zip(table.key, key, strict=True))
        (visible,), raised = await self._visibility.rows_visible(identity, table, [key])
        if visible:
            return _yes(f"the row {shown} is visible to these claims")
        if raised is not None:
            return _no(f"a policy raises on the row {shown}: {raised}. Its subscribers are told so and get nothing")
        if await self._values(table, key) is None:
            return _no(f"there is no row {shown} now")
        return _no(f"the row {shown} is there, and policies hide it from these claims")

    async def _filter(self, identity: Identity, table: Table, access: Access) -> Finding:
        try:
            conditions = await self._visibility.fit(identity, _binding(self._doubt), table, access)
        except (BindingError, MisfitError) as error:
            return _no(f"the filter is refused: {error}")
        if self._doubt.key is None:
            return _yes(f"the filter {self._doubt.filter} fits the table")
        values = await self._values(table, _key(table, self._doubt.key))
        if values is None:
            return _note("the filter fits the table; there is no such row now to try it on")
        failed = [each for each in conditions if not await self._holds(identity, each, values[each.filter.column])]
        if failed:
            column = failed[0].filter.column
            return _no(f"the filter does not match the row: {column} is {values[column]}")
        return _yes("the filter matches the row as it is now")

    async def _holds(self, identity: Identity, condition: Condition, value: str | None) -> bool:
        if not condition.in_postgres:
            return filters.matches(condition.filter, value, condition.operands)
        question = matching.Question(condition=condition, value=value)
        answers, _ = await self._visibility.answer(identity, [question])
        return answers[question]

    async def _values(self, table: Table, key: Sequence[str]) -> Mapping[str, str | None] | None:
        """The row as it is now, with every right, as text."""
        rows = await self._admin.fetch(statements.row_as_text(table), *key)
        return dict(rows[0]) if rows else None


def _key(table: Table, given: Mapping[str, str]) -> tuple[str, ...]:
    """The key's values in order; a single one may come without its name."""
    if len(table.key) == 1 and list(given) == [""]:
        return (given[""],)
    if set(given) != set(table.key):
        wanted = " ".join(f"--pk {column}=VALUE" for column in table.key)
        raise MinibaseError(f"The key of {table.schema}.{table.name} is given as {wanted or 'nothing: it has none'}.")
    return tuple(given[column] for column in table.key)


def _binding(doubt: Doubt) -> Binding:
    return parse({"event": "*", "schema": doubt.schema, "table": doubt.table, "filter": doubt.filter})


def _yes(text: str) -> Finding:
    return Finding(verdict=Verdict.YES, text=text)


def _no(text: str) -> Finding:
    return Finding(verdict=Verdict.NO, text=text)


def _note(text: str) -> Finding:
    return Finding(verdict=Verdict.NOTE, text=text)
