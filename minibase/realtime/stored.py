"""Rows of `realtime.messages` as broadcasts: what the database says to a room.

Source: the table that `realtime.send` and `realtime.broadcast_changes` insert into.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from minibase.realtime.messages import PREFIX, Broadcast, Encoding, Extension
from minibase.realtime.pgoutput import Relation, Value
from minibase.realtime.subscribers import Room

TABLE = ("realtime", "messages")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage:
    """A broadcast that was a row, and the transaction it was inserted by."""

    id: str
    room: Room
    broadcast: Broadcast


def is_messages(relation: Relation) -> bool:
    return (relation.schema, relation.name) == TABLE


def from_row(row: Mapping[str, Value], *, replayed: bool = False) -> StoredMessage | None:
    """The broadcast a row of text values is; None for a row that says nothing: no topic, event or payload."""
    topic, event, message_id = row.get("topic"), row.get("event"), row.get("id")
    body = _body(row)
    if row.get("extension") != Extension.BROADCAST or body is None:
        return None
    if not isinstance(topic, str) or not topic or not isinstance(event, str) or not isinstance(message_id, str):
        return None
    encoding, data = body
    meta = {"replayed": True, "id": message_id} if replayed else {"id": message_id}
    topic = PREFIX + topic
    broadcast = Broadcast(topic=topic, event=event, body=data, encoding=encoding, meta=meta)
    return StoredMessage(id=message_id, room=Room(topic=topic, private=row.get("private") == "t"), broadcast=broadcast)


def _body(row: Mapping[str, Value]) -> tuple[Encoding, bytes] | None:
    payload, octets = row.get("payload"), row.get("binary_payload")
    if isinstance(payload, str):
        return Encoding.JSON, payload.encode()
    if isinstance(octets, str):
        return Encoding.RAW, bytes.fromhex(octets.removeprefix("\\x"))
    return None
