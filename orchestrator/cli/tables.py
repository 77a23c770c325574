"""What the commands read from the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from orchestrator.live_query import Fetched, LiveQuery, Source

if TYPE_CHECKING:
    from supabase import Client

Row = dict[str, Any]

# A hosted project answers at most this many rows at once unless its settings say more.
PAGE_ROWS = 1000

_STACK_COLUMNS = (
    "id,participant_name,phase,execution_state,priority,cadence_s,created_at,started_at,updated_at,"
    "stack_status(wait_reason,wait_until,activity),project_ideas(title,description,status)"
)


def fetch_stacks(client: Client) -> list[Row]:
    """Every stack with its status and idea, oldest first, page by page."""
    rows: list[Row] = []
    while True:
        query = client.table("agent_stacks").select(_STACK_COLUMNS).order("created_at").order("id")
        page = cast("list[Row]", query.range(len(rows), len(rows) + PAGE_ROWS - 1).execute().data)
        rows += page
        if len(page) < PAGE_ROWS:
            return [_flat(row) for row in rows]


FLEET = (
    Source(
        table="agent_stacks",
        columns=(
            *("id", "participant_name", "phase", "execution_state", "priority", "cadence_s"),
            *("created_at", "started_at", "updated_at"),
        ),
    ),
    Source(
        table="stack_status",
        key="stack_id",
        columns=("stack_id", "wait_reason", "wait_until", "activity", "updated_at"),
    ),
    Source(table="project_ideas", key="stack_id", columns=("stack_id", "title", "description", "status", "updated_at")),
)


def fetch_fleet(client: Client, since: Mapping[str, datetime | None]) -> dict[str, Fetched]:
    """The tables of the fleet for a live query: rows changed since those times, and which exist."""
    ids = frozenset(row["id"] for row in _pages(client, "agent_stacks", ("id",), "id", None))
    return {
        source.table: Fetched(
            rows=_pages(client, source.table, source.columns, source.key, since[source.table]), alive=ids
        )
        for source in FLEET
    }


def fleet_rows(query: LiveQuery) -> list[Row]:
    """Every stack with its status and idea, oldest first, as `fetch_stacks` gives them."""
    stacks, statuses, ideas = (query.rows(source.table) for source in FLEET)
    rows = sorted(stacks.values(), key=lambda row: (row["created_at"], row["id"]))
    return [_flat({**row, "stack_status": statuses.get(row["id"]), "project_ideas": _idea(ideas, row)}) for row in rows]


def _idea(ideas: Mapping[Any, Row], row: Row) -> Row | None:
    idea = ideas.get(row["id"])
    return None if idea is None else {name: idea[name] for name in ("title", "description", "status")}


def _pages(client: Client, table: str, columns: Sequence[str], key: str, since: datetime | None) -> list[Row]:
    rows: list[Row] = []
    while True:
        query = client.table(table).select(",".join(columns)).order(key)
        query = query if since is None else query.gte("updated_at", since.isoformat())
        page = cast("list[Row]", query.range(len(rows), len(rows) + PAGE_ROWS - 1).execute().data)
        rows += page
        if len(page) < PAGE_ROWS:
            return rows


def fetch_todos(client: Client, stack_id: str) -> list[Row]:
    """The todos of a stack, most important first."""
    query = client.table("todos").select("id,content,status,priority,assigned_to,attempts,last_error")
    found = query.eq("stack_id", stack_id).order("priority", desc=True).order("created_at").execute()
    return cast("list[Row]", found.data)


def fetch_artifacts(client: Client, stack_id: str) -> list[Row]:
    """The artifact versions of a stack without their bodies, newest first."""
    query = client.table("artifacts").select("id,version,type,size_bytes,simulated,metadata,created_at")
    return cast("list[Row]", query.eq("stack_id", stack_id).order("version", desc=True).limit(20).execute().data)


def fetch_traces(client: Client, stack_id: str, count: int) -> list[Row]:
    """The newest traces of a stack, newest first."""
    query = client.table("agent_traces").select("id,agent_type,thought,action,simulated,created_at")
    return cast("list[Row]", query.eq("stack_id", stack_id).order("id", desc=True).limit(count).execute().data)


def _flat(row: Row) -> Row:
    # To-one embeds come as an object, or as a list where the foreign key is not seen as unique.
    status, idea = (_single(row.pop(name, None)) for name in ("stack_status", "project_ideas"))
    return {
        **row,
        "wait_reason": status.get("wait_reason"),
        "wait_until": status.get("wait_until"),
        "activity": status.get("activity") or {},
        "idea": idea or None,
    }


def _single(embedded: Any) -> Row:
    if isinstance(embedded, list):
        return cast("Row", embedded[0]) if embedded else {}
    return cast("Row", embedded or {})
