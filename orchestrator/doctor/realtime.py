"""Realtime, tried: subscribe, have a row come and go in one transaction, and wait to hear of it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import anyio
import httpx

from orchestrator.doctor.findings import Finding, fail, ok, warn
from orchestrator.doctor.supabase import Door, NotAnsweredError
from orchestrator.hearing import Ears, Event, hear

# Upstream answers the join up to 3 s before changes flow, and says when they do. Who does not is tried all the same.
STANDS_WITHIN_S = 4.0
AGAIN_AFTER_S = 3.0
SLOW_MS = 1_000.0


async def check_realtime(
    http: httpx.AsyncClient, url: str, *, key: str, key_kind: str, service_key: str, limit_s: float
) -> Finding:
    """The way of one change from the database to a subscriber with ``key``, tried for ``limit_s``."""
    check, identifier = f"realtime, {key_kind}", str(uuid4())
    joined, stands, heard = anyio.Event(), anyio.Event(), anyio.Event()
    sent = took = 0.0
    ended: list[str] = []

    def on_change(payload: Any) -> None:
        nonlocal took
        if (payload["data"].get("old_record") or {}).get("id") == identifier and not heard.is_set():
            took = (anyio.current_time() - sent) * 1_000
            heard.set()

    async def listen() -> None:
        ears = Ears(
            topic=f"stackbeat-doctor-{identifier}",
            tables=("messages",),
            heard=on_change,
            joined=joined.set,
            stands=stands.set,
            # A delete shows its key to everybody, so that a visitor hears of a row nobody could read.
            event=Event.Delete,
            filter=f"id=eq.{identifier}",
        )
        ended.append(await hear(url, key, ears))
        scope.cancel()

    with anyio.move_on_after(limit_s) as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            await joined.wait()
            with anyio.move_on_after(STANDS_WITHIN_S):
                await stands.wait()
            while not heard.is_set():
                sent = anyio.current_time()
                try:
                    await Door(http, url, service_key).call("blink", {"id": identifier})
                except NotAnsweredError as error:
                    tasks.cancel_scope.cancel()
                    ended.append(f"the database refuses blink: {error}")
                    break
                with anyio.move_on_after(AGAIN_AFTER_S):
                    await heard.wait()
            tasks.cancel_scope.cancel()
    if not heard.is_set():
        silence = "subscribed, but no change arrives" if joined.is_set() else "no answer to the subscription"
        return _unheard(check, url, ended[0] if ended else f"{silence} within {limit_s:g} s")
    if took > SLOW_MS:
        todo = "the dashboard lags by as much; look at the load of the database and of realtime"
        return warn(check, f"a change is heard after {took:.0f} ms", todo)
    return ok(check, f"a change is heard after {took:.0f} ms")


def _unheard(check: str, url: str, why: str) -> Finding:
    if "Unable to subscribe" in why:
        return fail(
            check, "no subscription to messages: " + _short(why), "see publication, and the role's right to select"
        )
    socket = url.replace("http", "ws", 1) + "/realtime/v1/websocket"
    todo = f"look that Realtime is on for the project and that proxies let websockets through to {socket}"
    return fail(check, f"changes are not heard: {_short(why)}", todo)


def _short(text: str) -> str:
    return " ".join(text.split())[:160]
