"""Who is present in one room, and what to tell the others when that changes.

Source: Phoenix.Presence. A key (a user, usually) may be present several times, once per tracking socket; each time is
a *meta*: the payload that socket tracked, with a reference of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Metas = dict[str, dict[str, list[dict[str, Any]]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """Who came and who went, in the shape of the `presence_diff` event."""

    joins: Metas
    leaves: Metas

    def payload(self) -> dict[str, Metas]:
        return {"joins": self.joins, "leaves": self.leaves}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    key: str
    payload: Mapping[str, Any]
    meta: dict[str, Any]

    def shown(self) -> Metas:
        return {self.key: {"metas": [self.meta]}}


class Roster:
    """The members of one room. A member is whatever the caller identifies a tracking socket by."""

    def __init__(self) -> None:
        self._entries: dict[object, _Entry] = {}

    @property
    def is_empty(self) -> bool:
        return not self._entries

    def track(self, member: object, key: str, payload: Mapping[str, Any], ref: str) -> Diff | None:
        """The member is present with this payload from now on. None if it already was, with the same."""
        former = self._entries.get(member)
        if former is not None and (former.key, former.payload) == (key, payload):
            return None
        meta = {**payload, "phx_ref": ref}
        if former is not None:
            meta["phx_ref_prev"] = former.meta["phx_ref"]
        entry = self._entries[member] = _Entry(key=key, payload=payload, meta=meta)
        return Diff(joins=entry.shown(), leaves=former.shown() if former else {})

    def untrack(self, member: object) -> Diff | None:
        """The member is gone. None if it was not there."""
        former = self._entries.pop(member, None)
        return None if former is None else Diff(joins={}, leaves=former.shown())

    def state(self) -> Metas:
        """Everybody, in the shape of the `presence_state` event."""
        state: Metas = {}
        for entry in self._entries.values():
            state.setdefault(entry.key, {"metas": []})["metas"].append(entry.meta)
        return state
