"""What will be asked of Postgres, with every name resolved; the query stage only has to spell it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from minibase.rest.catalogue.values import Column, Function, Link, Name, Parameter, Relation
from minibase.rest.request.values import CountMode, JsonStep, Media, Resolution, ReturnMode, Test, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnUse:
    """A column or a way into it. `wrap` says that arrows need `to_jsonb` first; `is_vector` that it is a tsvector."""

    name: str
    path: tuple[JsonStep, ...] = ()
    wrap: bool = False
    is_vector: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """A test on a column of the relation."""

    column: ColumnUse
    test: Test
    negated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedIs:
    """`rel=is.null`, `rel=not.is.null`: whether the embed found anything."""

    alias: str
    present: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Junct:
    joiner: Literal["and", "or"]
    members: tuple[Predicate, ...]
    negated: bool


Predicate: TypeAlias = Matches | EmbedIs | Junct


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One column of the answer; `column.name` is `*` for all."""

    column: ColumnUse
    key: str | None = None
    cast: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordering:
    """By a column, or by a column of the to-one embed `alias`."""

    column: ColumnUse
    alias: str | None = None
    direction: Literal["asc", "desc"] | None = None
    nulls: Literal["first", "last"] | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """Rows of a table or view."""

    name: Name


@dataclass(frozen=True, slots=True)
class Given:
    """Rows an earlier part of the same statement made: what a write returned or a function gave."""


Source: TypeAlias = Stored | Given


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Rows to fetch; `alias` is unique in the statement, so that embeds can refer to their parent's."""

    source: Source
    alias: str
    outputs: tuple[Output, ...]
    where: tuple[Predicate, ...]
    order: tuple[Ordering, ...]
    window: Window
    embeds: tuple[Embed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Embed:
    """Related rows inside the rows of a parent.

    `shown` is false where nothing was selected: such an embed only filters. `keys` are the names a spread lifts
    into the parent.
    """

    key: str
    alias: str
    read: Read
    target: Name
    link: Link
    to_one: bool
    inner: bool
    spread: bool
    shown: bool
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How the outcome is to be told."""

    media: Media
    count: CountMode | None
    returns: ReturnMode
    head: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPlan:
    """`max_rows` is the server's cap, above which estimated counts are not exact."""

    read: Read
    answer: Answer
    max_rows: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The body of a write as JSON text, and how its rows become columns."""

    text: bytes
    is_array: bool
    columns: tuple[Column, ...]
    with_defaults: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    resolution: Resolution
    target: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Insert:
    document: Document
    conflict: Conflict | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    document: Document
    where: tuple[Predicate, ...]
    alias: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    where: tuple[Predicate, ...]
    alias: str


Change: TypeAlias = Insert | Update | Delete


@dataclass(frozen=True, slots=True, kw_only=True)
class WritePlan:
    """`returning` holds only the columns the answer needs: the role may not be allowed to read the others."""

    relation: Relation
    change: Change
    returning: tuple[str, ...]
    read: Read | None
    answer: Answer
    max_affected: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FromObject:
    """Arguments are keys of one JSON object."""

    text: bytes
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FromTexts:
    """Arguments are texts, as they stood in the query string; a variadic one may have several."""

    values: tuple[tuple[Parameter, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeBody:
    """The body itself is the one unnamed argument."""

    text: bytes
    type: str


Arguments: TypeAlias = FromObject | FromTexts | WholeBody


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlan:
    """`read` shapes rows; it is None for scalars and void, of which `window` counts a set's."""

    function: Function
    arguments: Arguments
    read: Read | None
    window: Window
    answer: Answer
    max_affected: int | None = None


Plan: TypeAlias = ReadPlan | WritePlan | CallPlan
