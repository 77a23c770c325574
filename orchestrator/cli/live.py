"""Looking again whenever something changes: realtime rings, a timer guarantees progress, an outage is waited out.

A signal is a hint and the tables are the truth here too: what is shown is always read, never taken from a signal.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread

from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.cli.output import print_line
from orchestrator.cli.target import Target
from orchestrator.live_query import LiveQuery

if TYPE_CHECKING:
    from realtime.types import PostgresChangesPayload

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 15.0
TIMER_S = 5.0
# Many changes come together; reading is not repeated more often than this.
GAP_S = 0.25
T = TypeVar("T")


class Bell:
    """At most one pending ring, and whether realtime is connected."""

    def __init__(self) -> None:
        self._rung = anyio.Event()
        self.connected = False

    def ring(self) -> None:
        """Something may have changed."""
        self._rung.set()

    async def rounds(self) -> AsyncIterator[None]:
        """A round at once, then one for each ring or tick of the timer."""
        while True:
            self._rung = anyio.Event()
            yield
            await anyio.sleep(GAP_S)
            with anyio.move_on_after(TIMER_S):
                await self._rung.wait()


async def listen(
    target: Target,
    bell: Bell,
    *,
    topic: str,
    tables: Sequence[str],
    filter: str | None = None,
    query: LiveQuery | None = None,
) -> None:
    """Ring for every change of the tables, until cancelled, whatever happens to the connection.

    A ``query`` is told what is heard, and when something may have been missed.
    """
    from orchestrator.hearing import Ears, hear

    def joined() -> None:
        bell.connected = True
        if query is not None:
            query.joined()
        bell.ring()  # whatever changed while nobody listened

    def stands() -> None:
        if query is not None:
            query.stands()
        bell.ring()

    def heard(payload: PostgresChangesPayload) -> None:
        change = query.read(payload) if query is not None else None
        if query is not None and change is not None:
            query.hear(change)
        bell.ring()

    wait = FIRST_WAIT_S
    while True:
        started = anyio.current_time()
        ears = Ears(topic=topic, tables=tables, heard=heard, joined=joined, stands=stands, filter=filter)
        await hear(target.url, target.service_key, ears)
        bell.connected = False
        if query is not None:
            query.lost()
        bell.ring()
        if anyio.current_time() - started > LONGEST_WAIT_S:
            wait = FIRST_WAIT_S
        await anyio.sleep(wait * random.uniform(0.5, 1.5))
        wait = min(LONGEST_WAIT_S, wait * 2)


def _tell_on_stderr(text: str) -> None:
    print_line(text, err=True)


class Reader:
    """Reads in a thread; where Supabase is away, says so once and asks until it is back."""

    def __init__(self, tell: Callable[[str], None] = _tell_on_stderr) -> None:
        self._tell = tell
        self._away = False

    async def read(self, fetch: Callable[[], T]) -> T:
        """What ``fetch`` returns. Raises CliError where Supabase refuses, which waiting does not mend."""
        wait = FIRST_WAIT_S
        while True:
            try:
                found = await anyio.to_thread.run_sync(fetch, abandon_on_cancel=True)
            except CliError as error:
                if error.code is not ExitCode.NO_SUPABASE:
                    raise
                if not self._away:
                    self._tell(f"waiting: {error.message}")
                self._away = True
            else:
                if self._away:
                    self._tell("Supabase answers again")
                self._away = False
                return found
            await anyio.sleep(wait)
            wait = min(LONGEST_WAIT_S / 3, wait * 2)
