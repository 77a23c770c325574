"""The snapshot's values. Names are pairs of schema and name; nothing here knows how they were read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True, order=True)
class Name:
    """A qualified name."""

    schema: str
    local: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`type` is spelt so that it can be used in a cast under any search path; `base` is it without domains."""

    name: str
    type: str
    base: str
    default: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    name: Name
    columns: Mapping[str, Column]
    primary_key: tuple[str, ...] = ()


class Cardinality(StrEnum):
    """PostgREST's words, as they appear in PGRST201."""

    MANY_TO_ONE = "many-to-one"
    ONE_TO_MANY = "one-to-many"
    ONE_TO_ONE = "one-to-one"
    MANY_TO_MANY = "many-to-many"

    @property
    def to_one(self) -> bool:
        return self in (Cardinality.MANY_TO_ONE, Cardinality.ONE_TO_ONE)


ColumnPairs: TypeAlias = tuple[tuple[str, str], ...]
"""Columns that must be equal: (near side, far side)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKey:
    """A constraint as declared, or as a view shows it. `unique`: at most one source row per target row."""

    constraint: str
    source: Name
    target: Name
    pairs: ColumnPairs
    unique: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct:
    """Joined by the columns of one foreign key; pairs run from the relationship's source to its target."""

    constraint: str
    pairs: ColumnPairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Junction:
    """Joined through a third relation whose primary key holds both foreign keys."""

    name: Name
    near_constraint: str
    near_pairs: ColumnPairs
    far_constraint: str
    far_pairs: ColumnPairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """A function from the source's row to rows of the target."""

    function: Name
    argument: Name


Link: TypeAlias = Direct | Junction | Computed


@dataclass(frozen=True, slots=True, kw_only=True)
class Relationship:
    source: Name
    target: Name
    cardinality: Cardinality
    link: Link


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    name: str
    type: str
    required: bool = True
    variadic: bool = False


Volatility: TypeAlias = Literal["volatile", "stable", "immutable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """`columns` describes rows of a composite result when they are known; `relation` names the table they are of."""

    name: Name
    parameters: tuple[Parameter, ...]
    returns: Literal["void", "scalar", "row"]
    returns_set: bool
    volatility: Volatility
    relation: Name | None = None
    row_argument: Name | None = None
    expects_one: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def reads_only(self) -> bool:
        return self.volatility != "volatile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    relations: Mapping[Name, Relation]
    relationships: Mapping[Name, tuple[Relationship, ...]]
    functions: Mapping[Name, tuple[Function, ...]]
    role_settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
