"""Watches a fleet: SUPABASE_URL=... SUPABASE_PUBLISHABLE_KEY=... python watch.py   (needs: pip install supabase)"""

import asyncio
import os

from supabase import acreate_client


async def main() -> None:
    client = await acreate_client(os.environ["SUPABASE_URL"], os.environ["SUPABASE_PUBLISHABLE_KEY"])
    stacks = (await client.table("agent_stacks").select("id,participant_name").execute()).data
    names = {stack["id"]: stack["participant_name"] for stack in stacks}

    def show(change: dict) -> None:
        trace = change["data"]["record"]
        print(f"{names.get(trace['stack_id'], 'a new stack')}: {trace['agent_type']}: {trace['thought']}", flush=True)

    channel = client.channel("traces")
    channel.on_postgres_changes("INSERT", schema="public", table="agent_traces", callback=show)
    await channel.subscribe(lambda state, error: print(f"realtime: {state.value}", flush=True))
    await asyncio.Event().wait()  # until Ctrl-C


asyncio.run(main())
