"""Rows with types: SUPABASE_URL=... SUPABASE_PUBLISHABLE_KEY=... python typed.py   (needs: pip install supabase)

Prints what every stack has left to do. `database_types.py` beside it has one class for each table.
"""

import os
from datetime import UTC, datetime

from database_types import PublicAgentStacks, PublicTodos
from supabase import create_client


def main() -> None:
    client = create_client(os.environ["SUPABASE_URL"], os.environ["SUPABASE_PUBLISHABLE_KEY"])
    stacks = client.table("agent_stacks").select("*").order("participant_name").execute()
    todos = client.table("todos").select("*").eq("status", "pending").order("priority", desc=True).execute()
    pending = [PublicTodos.model_validate(row) for row in todos.data]
    now = datetime.now(UTC)
    for stack in map(PublicAgentStacks.model_validate, stacks.data):
        print(f"{stack.participant_name} ({stack.execution_state}, {stack.phase})")
        for todo in pending:
            if todo.stack_id == stack.id:
                print(f"  {todo.priority}: {todo.content} ({(now - todo.created_at).total_seconds():.0f} s old)")


main()
