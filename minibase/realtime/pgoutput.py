"""Decoder of logical replication messages, plugin pgoutput, protocol version 1, values as text.

Source: PostgreSQL documentation, "Logical Replication Message Formats" and "Streaming Replication Protocol".
Each message is decoded alone; which relation an oid means is for the caller to remember from `Relation`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final


class DecodeError(ValueError):
    """A message that pgoutput would not send."""


class Unchanged(Enum):
    """A value stored out of line that the UPDATE did not touch: it is not in the log."""

    VALUE = "unchanged"


UNCHANGED: Final = Unchanged.VALUE
Value = str | None | Unchanged
Row = tuple[Value, ...]


class Identity(Enum):
    """The relation's replica identity: what of the old row is logged."""

    DEFAULT = "d"
    NOTHING = "n"
    FULL = "f"
    INDEX = "i"


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """Start of a transaction, sent only once it has committed."""

    final_lsn: int
    committed_at: int  # microseconds since 2000-01-01 UTC
    xid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    end_lsn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    name: str
    type_oid: int
    type_modifier: int
    in_identity: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A table as it stands for the rows that follow; sent before the first of them and again after any change."""

    oid: int
    schema: str
    name: str
    identity: Identity
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Insert:
    relation: int
    new: Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """`old` is the whole old row if `old_is_whole`, else its identity columns (others None), or None if they kept."""

    relation: int
    old: Row | None
    old_is_whole: bool
    new: Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    relation: int
    old: Row
    old_is_whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """Truncate, type, origin and logical messages, which no subscriber hears of."""

    kind: str


Message = Begin | Commit | Relation | Insert | Update | Delete | Other

_BEGIN = struct.Struct(">QqI")
_COMMIT = struct.Struct(">BQQq")
_COLUMN = struct.Struct(">Ii")
_OTHERS = frozenset("TYOM")
_ROWS = frozenset((b"I", b"U", b"D"))


def row_of(data: bytes) -> int | None:
    """The oid of the relation of which this message brings a row, without decoding it; None for other messages."""
    return _oid(data) if data[:1] in _ROWS else None


def decode(data: bytes) -> Message:
    """One message of the stream; DecodeError if it is cut short or of no known kind."""
    try:
        return _decode(data)
    except (struct.error, IndexError, UnicodeDecodeError, ValueError) as error:
        raise DecodeError(f"broken replication message {data[:1]!r} of {len(data)} bytes: {error}") from error


def _decode(data: bytes) -> Message:
    kind = chr(data[0])
    decoder = _DECODERS.get(kind)
    if decoder is not None:
        return decoder(data)
    if kind not in _OTHERS:
        raise DecodeError(f"unknown message kind {kind!r}")
    return Other(kind=kind)


def _begin(data: bytes) -> Begin:
    final_lsn, committed_at, xid = _BEGIN.unpack_from(data, 1)
    return Begin(final_lsn=final_lsn, committed_at=committed_at, xid=xid)


def _commit(data: bytes) -> Commit:
    _, _, end_lsn, _ = _COMMIT.unpack_from(data, 1)
    return Commit(end_lsn=end_lsn)


def _insert(data: bytes) -> Insert:
    new, _ = _row(data, 6)
    return Insert(relation=_oid(data), new=new)


def _delete(data: bytes) -> Delete:
    old, _ = _row(data, 6)
    return Delete(relation=_oid(data), old=old, old_is_whole=data[5:6] == b"O")


def _oid(data: bytes) -> int:
    return int.from_bytes(data[1:5], "big")


def _update(data: bytes) -> Update:
    old, offset, marker = None, 6, data[5:6]
    if marker in (b"K", b"O"):
        old, offset = _row(data, 6)
        offset += 1
    new, _ = _row(data, offset)
    return Update(relation=_oid(data), old=old, old_is_whole=marker == b"O", new=new)


def _row(data: bytes, offset: int) -> tuple[Row, int]:
    count = int.from_bytes(_exactly(data, offset, 2), "big")
    offset += 2
    values: list[Value] = []
    for _ in range(count):
        kind = data[offset]
        offset += 1
        if kind == 0x74:  # t
            size = int.from_bytes(_exactly(data, offset, 4), "big")
            values.append(_exactly(data, offset + 4, size).decode())
            offset += 4 + size
        elif kind == 0x6E:  # n
            values.append(None)
        elif kind == 0x75:  # u
            values.append(UNCHANGED)
        else:
            raise DecodeError(f"unknown value kind {kind}")
    return tuple(values), offset


def _exactly(data: bytes, offset: int, size: int) -> bytes:
    part = data[offset : offset + size]
    if len(part) != size:
        raise DecodeError("the message ends inside a value")
    return part


def _relation(data: bytes) -> Relation:
    schema, offset = _text(data, 5)
    name, offset = _text(data, offset)
    identity = Identity(chr(data[offset]))
    count = int.from_bytes(_exactly(data, offset + 1, 2), "big")
    offset += 3
    columns = []
    for _ in range(count):
        in_identity = bool(data[offset] & 1)
        column, offset = _text(data, offset + 1)
        type_oid, modifier = _COLUMN.unpack_from(data, offset)
        offset += _COLUMN.size
        columns.append(Column(name=column, type_oid=type_oid, type_modifier=modifier, in_identity=in_identity))
    # An empty schema name stands for pg_catalog.
    return Relation(oid=_oid(data), schema=schema or "pg_catalog", name=name, identity=identity, columns=tuple(columns))


def _text(data: bytes, offset: int) -> tuple[str, int]:
    end = data.index(b"\0", offset)
    return data[offset:end].decode(), end + 1


_DECODERS: Mapping[str, Callable[[bytes], Message]] = {
    "B": _begin,
    "C": _commit,
    "R": _relation,
    "I": _insert,
    "U": _update,
    "D": _delete,
}
