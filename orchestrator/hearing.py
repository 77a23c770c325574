"""One connection to realtime: changes of some tables, heard until the connection ends.

The official client gives up after some attempts and is not trusted to come back, so each connection has a client of its
own; whoever wants the next one calls again. A change is a hint: it may be lost or doubled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio
from realtime import AsyncRealtimeClient, RealtimePostgresChangesListenEvent, RealtimeSubscribeStates
from realtime.types import PostgresChangesPayload

JOIN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0

Event = RealtimePostgresChangesListenEvent


def nothing() -> None:
    """For those who need no word of a subscription's progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ears:
    """What to listen to and whom to tell. ``filter`` is PostgREST-like, as in ``id=eq.1``, and of every table."""

    topic: str
    tables: Sequence[str]
    heard: Callable[[PostgresChangesPayload], None]
    joined: Callable[[], None] = nothing
    # Where the server subscribes after the join's answer, this says that the subscription now stands.
    stands: Callable[[], None] = nothing
    event: Event = Event.All
    filter: str | None = None


async def hear(url: str, key: str, ears: Ears, *, join_timeout_s: float = JOIN_TIMEOUT_S) -> str:
    """Listen from the join to the end of the connection; returns why it ended. Raises nothing of its own."""
    client = AsyncRealtimeClient(f"{url.rstrip('/')}/realtime/v1", key, auto_reconnect=False)
    ended, reason = anyio.Event(), ["the connection ended"]

    def on_state(state: RealtimeSubscribeStates, error: Exception | None) -> None:
        if state == RealtimeSubscribeStates.SUBSCRIBED:
            ears.joined()
        else:
            reason[0] = f"{state.value}: {error}" if error else state.value
            ended.set()

    try:
        with anyio.move_on_after(join_timeout_s) as joining:
            channel = client.channel(ears.topic)
            for table in ears.tables:
                channel.on_postgres_changes(ears.event, ears.heard, table=table, schema="public", filter=ears.filter)
            channel.on_system(lambda _: ears.stands())
            await channel.subscribe(on_state)
        if joining.cancelled_caught:
            return f"no answer to the join within {join_timeout_s:g} s"
        await ended.wait()
        return reason[0]
    except Exception as error:  # the client raises bare Exceptions, its transport's and its own
        return str(error) or type(error).__name__
    finally:
        await _close(client)


async def _close(client: AsyncRealtimeClient) -> None:
    """Close also while we are being cancelled, but never hang on a dead peer."""
    with anyio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
        for channel in client.get_channels():
            channel.rejoin_timer.reset()
            channel.join_push.destroy()
        await client.close()
