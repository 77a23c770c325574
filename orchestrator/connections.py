"""How long the daemon's HTTP connections are kept while nothing goes over them."""

from __future__ import annotations

import httpx

# Uvicorn (vLLM and others serve with it) and Node end a connection that was idle for 5 s, which is also httpx's own
# limit: a request written just then meets the close, and nobody can tell whether the other side has read it.
IDLE_S = 4.0


def kept(most: int) -> httpx.Limits:
    """At most so many connections at a time, all of which may wait for their next request, for `IDLE_S`."""
    return httpx.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=IDLE_S)
