"""Reading a request of the Auth API: a bounded body as a checked value, and the address it came from."""

from __future__ import annotations

import ipaddress

from starlette.requests import Request

from minibase.auth.bodies import MAXIMUM_BODY_BYTES, Body, parse_body
from minibase.auth.errors import AuthError


async def read_body(request: Request, model: type[Body]) -> Body:
    """The body as a value of `model`. Raises AuthError; reads no more than the bound, whatever the length promised."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAXIMUM_BODY_BYTES:
            raise AuthError(413, "validation_failed", f"The request body is larger than {MAXIMUM_BODY_BYTES} bytes")
    return parse_body(model, bytes(raw))


def address_of(request: Request) -> str:
    """The peer's address, or "" where it has none. Forwarding headers are not believed: anybody can write them."""
    host = request.client.host if request.client else ""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return ""
