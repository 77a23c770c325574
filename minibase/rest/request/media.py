"""Which body the client accepts: the `Accept` header against what we can produce."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from minibase.rest.errors import refuse
from minibase.rest.request.values import Media, MediaKind

_KINDS: Final = {
    "*/*": MediaKind.JSON,
    "application/*": MediaKind.JSON,
    "application/json": MediaKind.JSON,
    "application/vnd.pgrst.object": MediaKind.OBJECT,
    "application/vnd.pgrst.object+json": MediaKind.OBJECT,
    "application/vnd.pgrst.array": MediaKind.ARRAY,
    "application/vnd.pgrst.array+json": MediaKind.ARRAY,
    "text/csv": MediaKind.CSV,
    "text/plain": MediaKind.TEXT,
    "application/octet-stream": MediaKind.OCTETS,
}


@lru_cache(maxsize=128)
def choose_media(accept: str) -> Media:
    """The best kind the header allows; an empty header allows all.

    Raises RestError PGRST107 when nothing fits.
    """
    offers = sorted((_quality(offer), -place, offer) for place, offer in enumerate(accept.split(",")) if offer.strip())
    for quality, _, offer in reversed(offers):
        name, *parameters = (part.strip() for part in offer.split(";"))
        kind = _KINDS.get(name.lower())
        if kind is not None and quality > 0:
            return Media(kind=kind, strip_nulls=_strips_nulls(kind, parameters))
    if not offers:
        return Media(kind=MediaKind.JSON)
    listed = ", ".join(offer.split(";")[0].strip() for offer in accept.split(","))
    raise refuse(406, "PGRST107", f"None of these media types are available: {listed}")


def _strips_nulls(kind: MediaKind, parameters: list[str]) -> bool:
    return kind in (MediaKind.OBJECT, MediaKind.ARRAY) and "nulls=stripped" in parameters


def _quality(offer: str) -> float:
    for parameter in offer.split(";")[1:]:
        key, _, value = parameter.strip().partition("=")
        if key == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
