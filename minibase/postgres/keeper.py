"""Keeps PostgreSQL running under an API that goes on: whatever ends it, it is started again.

Meanwhile REST and Auth answer 503 and Realtime lets its subscribers go, which all official clients take for "come back
soon"; so nobody above has to know. It never gives up, for what is in the way (a full disk, most of all) is cleared by
people, who should not have to start anything again afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import anyio

from minibase.errors import MinibaseError
from minibase.postgres.server import Server

BACK_OFF_S = (0.1, 0.5, 1, 2, 5, 10)
STEADY_S = 60
"""A server that has run for so long ended for a new reason, and the waiting begins anew."""


async def keep_running(server: Server, say: Callable[[str], None]) -> NoReturn:
    """Start `server` again whenever it ends by itself, until cancelled; `say` hears of each end and each return."""
    failures = 0
    while True:
        begun = anyio.current_time()
        ended = await server.failed()
        if anyio.current_time() - begun > STEADY_S:
            failures = 0
        say(f"{ended}\nStarting it again.")
        failures = await _start_again(server, say, failures)
        say("PostgreSQL runs again.")


async def _start_again(server: Server, say: Callable[[str], None], failures: int) -> int:
    """Try until it answers; returns how many attempts there have been since it was last steady."""
    said = ""
    while True:
        await anyio.sleep(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])
        failures += 1
        try:
            await server.restart()
        except MinibaseError as error:
            reason = str(error).partition("\n")[0]
            if reason != said:  # once, not at every attempt
                say(f"{error}\nTrying again, every {BACK_OFF_S[-1]} s in the end.")
            said = reason
        else:
            return failures
