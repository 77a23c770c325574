"""From the JSON of the catalogue queries to a `Catalogue`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

from minibase.rest.catalogue.origins import read_origins, settle_origins
from minibase.rest.catalogue.relationships import derive_relationships
from minibase.rest.catalogue.values import Catalogue, Column, ForeignKey, Function, Name, Parameter, Relation

Rows: TypeAlias = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueRows:
    """The answers of minibase/sql/queries/rest_*.sql, decoded."""

    relations: Rows
    foreign_keys: Rows
    views: Rows
    functions: Rows
    role_settings: Mapping[str, Mapping[str, str]]


def assemble(rows: CatalogueRows) -> Catalogue:
    """Build the snapshot. Foreign keys whose ends are not exposed simply give no relationship."""
    relations = {relation.name: relation for relation in map(_relation, rows.relations)}
    functions = [_function(row) for row in rows.functions]
    by_name: dict[Name, list[Function]] = defaultdict(list)
    for function in functions:
        by_name[function.name].append(function)
    return Catalogue(
        relations=relations,
        relationships=derive_relationships(relations, list(_foreign_keys(rows)), functions),
        functions={name: tuple(overloads) for name, overloads in by_name.items()},
        role_settings=rows.role_settings,
    )


def _relation(row: Mapping[str, Any]) -> Relation:
    columns = (
        Column(name=each["name"], type=each["type"], base=each["base"] or each["type"], default=each["default"])
        for each in row["columns"]
    )
    return Relation(
        name=Name(row["schema"], row["name"]),
        columns={column.name: column for column in columns},
        primary_key=tuple(row["primary_key"]),
    )


def _function(row: Mapping[str, Any]) -> Function:
    return Function(
        name=Name(row["schema"], row["name"]),
        parameters=tuple(Parameter(**each) for each in row["parameters"]),
        returns=row["returns"],
        returns_set=row["returns_set"],
        volatility=row["volatility"],
        relation=Name(*row["relation"]) if row["relation"] else None,
        row_argument=Name(*row["row_argument"]) if row["row_argument"] else None,
        expects_one=row["expects_one"],
        settings=dict(setting.split("=", 1) for setting in row["settings"]),
    )


@dataclass(frozen=True, slots=True)
class _Side:
    """A relation that shows the columns of one end of a foreign key, under its own names for them."""

    relation: Name
    columns: tuple[str, ...]


def _foreign_keys(rows: CatalogueRows) -> Iterator[ForeignKey]:
    shown = _shown_columns(rows)
    for key in rows.foreign_keys:
        sources = _sides(shown, key["source"], key["source_columns"])
        targets = _sides(shown, key["target"], key["target_columns"])
        for source, target in product(sources, targets):
            yield ForeignKey(
                constraint=key["constraint"],
                source=source.relation,
                target=target.relation,
                pairs=tuple(zip(source.columns, target.columns, strict=True)),
                unique=key["unique"],
            )


_Shown: TypeAlias = Mapping[int, Sequence[tuple[Name, Mapping[int, str]]]]
"""For each base table's number: the relations that show it and their names for its columns."""


def _shown_columns(rows: CatalogueRows) -> _Shown:
    origins = settle_origins({row["view"]: read_origins(row["tree"]) for row in rows.views})
    shown: dict[int, list[tuple[Name, Mapping[int, str]]]] = defaultdict(list)
    for row in rows.relations:
        name = Name(row["schema"], row["name"])
        names = {each["number"]: each["name"] for each in row["columns"]}
        if row["oid"] not in origins:
            shown[row["oid"]].append((name, names))
            continue
        per_table: dict[int, dict[int, str]] = defaultdict(dict)
        for number, (table, column) in origins[row["oid"]].items():
            if number in names:
                per_table[table].setdefault(column, names[number])
        for table, columns in per_table.items():
            shown[table].append((name, columns))
    return shown


def _sides(shown: _Shown, table: int, numbers: Iterable[int]) -> list[_Side]:
    wanted = tuple(numbers)
    return [
        _Side(name, tuple(columns[number] for number in wanted))
        for name, columns in shown.get(table, ())
        if all(number in columns for number in wanted)
    ]
