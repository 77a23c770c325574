"""The replication decoder against messages built as PostgreSQL's documentation lays them out."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minibase.realtime.pgoutput import (
    UNCHANGED,
    Begin,
    Column,
    Commit,
    DecodeError,
    Delete,
    Identity,
    Insert,
    Other,
    Relation,
    Row,
    Update,
    decode,
)


def row(values: Row) -> bytes:
    out = struct.pack(">H", len(values))
    for value in values:
        if value is None:
            out += b"n"
        elif value is UNCHANGED:
            out += b"u"
        else:
            out += b"t" + struct.pack(">I", len(value.encode())) + value.encode()
    return out


def tuple_message(kind: bytes, *parts: bytes) -> bytes:
    return kind + struct.pack(">I", 16400) + b"".join(parts)


RELATION = (
    tuple_message(b"R", b"public\0todos\0d", struct.pack(">H", 2))
    + b"\x01id\0"
    + struct.pack(">Ii", 20, -1)
    + b"\x00title\0"
    + struct.pack(">Ii", 1043, 54)
)


def test_transaction_frame() -> None:
    begin = b"B" + struct.pack(">QqI", 0x16B3748, 777, 501)
    assert decode(begin) == Begin(final_lsn=0x16B3748, committed_at=777, xid=501)
    commit = b"C" + struct.pack(">BQQq", 0, 1, 0x16B3778, 777)
    assert decode(commit) == Commit(end_lsn=0x16B3778)


def test_relation() -> None:
    assert decode(RELATION) == Relation(
        oid=16400,
        schema="public",
        name="todos",
        identity=Identity.DEFAULT,
        columns=(
            Column(name="id", type_oid=20, type_modifier=-1, in_identity=True),
            Column(name="title", type_oid=1043, type_modifier=54, in_identity=False),
        ),
    )


def test_rows() -> None:
    new: Row = ("6", "né", None, UNCHANGED, "")
    assert decode(tuple_message(b"I", b"N", row(new))) == Insert(relation=16400, new=new)
    assert decode(tuple_message(b"U", b"N", row(new))) == Update(relation=16400, old=None, old_is_whole=False, new=new)
    assert decode(tuple_message(b"U", b"K", row(("5", None)), b"N", row(("6", "x")))) == Update(
        relation=16400, old=("5", None), old_is_whole=False, new=("6", "x")
    )
    assert decode(tuple_message(b"D", b"O", row(("5", "x")))) == Delete(
        relation=16400, old=("5", "x"), old_is_whole=True
    )


@pytest.mark.parametrize("kind", ["T", "Y", "O", "M"])
def test_what_no_subscriber_hears_of(kind: str) -> None:
    assert decode(kind.encode() + b"anything") == Other(kind=kind)


@pytest.mark.parametrize("data", [b"", b"Z", RELATION[:-3], tuple_message(b"I", b"N", row(("6", "abc")))[:-1]])
def test_broken_messages(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(data)


values = st.lists(st.none() | st.just(UNCHANGED) | st.text(st.characters(exclude_categories=["Cs"])), max_size=8)


@settings(max_examples=60, deadline=None)
@given(old=values, new=values)
def test_any_update_survives_the_trip(old: list[str | None], new: list[str | None]) -> None:
    message = tuple_message(b"U", b"O", row(tuple(old)), b"N", row(tuple(new)))
    assert decode(message) == Update(relation=16400, old=tuple(old), old_is_whole=True, new=tuple(new))


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=80), kind=st.sampled_from(b"IUDBCR"))
def test_random_bytes_never_do_worse_than_a_decode_error(data: bytes, kind: int) -> None:
    with suppress(DecodeError):
        decode(bytes([kind]) + data)
