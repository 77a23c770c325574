"""What the commands read from the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

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
