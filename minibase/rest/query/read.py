"""Rows as SQL: one SELECT, each embed a lateral sub-query, so that windows inside embeds are per parent row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_never

from minibase.rest.catalogue.values import ColumnPairs, Computed, Direct, Junction
from minibase.rest.plan.values import (
    Embed,
    EmbedIs,
    Given,
    Junct,
    Matches,
    Ordering,
    Output,
    Predicate,
    Read,
    Source,
    Stored,
)
from minibase.rest.query.conditions import spell_column, spell_predicate
from minibase.rest.query.spelling import identifier, qualified
from minibase.rest.query.statement import Parameters
from minibase.rest.request.values import Window

# What an earlier part of the statement made is read under this name.
GIVEN = "source"


def spell_rows(read: Read, parameters: Parameters) -> str:
    """The rows at the top of a tree of embeds."""
    return _spell_level(read, _top(read), (), parameters)


def spell_unlimited(read: Read, parameters: Parameters) -> str:
    """Only what decides how many rows there are without the window; its parameters are its own."""
    deciding = _deciding(read)
    laterals = "".join(_spell_lateral(read, embed, parameters) for embed in read.embeds if embed.alias in deciding)
    where = _join_conditions(tuple(spell_predicate(read.alias, each, parameters) for each in read.where))
    return f"SELECT 1 FROM {_top(read)}{laterals}{where}"


def _top(read: Read) -> str:
    return f"{_spell_source(read.source)} AS {read.alias}"


def _spell_level(read: Read, source: str, join: tuple[str, ...], parameters: Parameters) -> str:
    laterals = "".join(_spell_lateral(read, embed, parameters) for embed in read.embeds)
    where = _join_conditions((*join, *(spell_predicate(read.alias, each, parameters) for each in read.where)))
    order = ", ".join(_spell_ordering(read, each) for each in read.order)
    return (
        f"SELECT {_spell_outputs(read)} FROM {source}{laterals}{where}"
        f"{' ORDER BY ' + order if order else ''}{spell_window(read.window, parameters)}"
    )


def _join_conditions(conditions: tuple[str, ...]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def spell_window(window: Window, parameters: Parameters) -> str:
    """` LIMIT ... OFFSET ...`, as far as the window has ends."""
    limit = f" LIMIT {parameters.add(str(window.limit))}" if window.limit is not None else ""
    offset = f" OFFSET {parameters.add(str(window.offset))}" if window.offset else ""
    return limit + offset


def _spell_source(source: Source) -> str:
    match source:
        case Stored(name=name):
            return qualified(name)
        case Given():
            return GIVEN
        case _ as never:
            assert_never(never)


def _spell_outputs(read: Read) -> str:
    spelt = [_spell_output(read.alias, each) for each in read.outputs]
    for embed in read.embeds:
        spelt += _spell_embed_outputs(embed)
    return ", ".join(spelt)


def _spell_output(alias: str, output: Output) -> str:
    column = spell_column(alias, output.column)
    if output.column.name == "*":
        return column
    value = f"CAST({column} AS {output.cast})" if output.cast else column
    return f"{value} AS {identifier(output.key or output.column.name)}"


def _spell_embed_outputs(embed: Embed) -> Iterator[str]:
    if embed.spread:
        for key in embed.keys:
            name = identifier(key)
            yield f"{embed.alias}.{name}" if embed.to_one else f"coalesce({embed.alias}.{name}, '[]') AS {name}"
    elif embed.shown:
        value = f"{embed.alias}.j" if embed.to_one else f"coalesce({embed.alias}.j, '[]')"
        yield f"{value} AS {identifier(embed.key)}"


def _spell_lateral(parent: Read, embed: Embed, parameters: Parameters) -> str:
    source, join = _spell_link(parent.alias, embed)
    rows = _spell_level(embed.read, source, join, parameters)
    if embed.spread:
        rows = rows if embed.to_one else _spell_gathered(embed, rows)
    elif embed.to_one:
        rows = f"SELECT row_to_json(r) AS j FROM ({rows}) r"
    else:
        # An aggregate over nothing is still a row: an inner join must not take it for a match.
        rows = f"SELECT json_agg(r) AS j FROM ({rows}) r{' HAVING count(*) > 0' if embed.inner else ''}"
    kind = "INNER" if embed.inner else "LEFT"
    return f" {kind} JOIN LATERAL ({rows}) {embed.alias} ON true"


def _spell_gathered(embed: Embed, rows: str) -> str:
    """A to-many spread: one array per column."""
    columns = ", ".join(f"json_agg(r.{identifier(key)}) AS {identifier(key)}" for key in embed.keys)
    return f"SELECT {columns} FROM ({rows}) r{' HAVING count(*) > 0' if embed.inner else ''}"


def _spell_link(parent: str, embed: Embed) -> tuple[str, tuple[str, ...]]:
    """Where the related rows are, and which of them belong to the parent's row."""
    own = embed.read.alias
    target = f"{qualified(embed.target)} AS {own}"
    match embed.link:
        case Direct(pairs=pairs):
            return target, tuple(_equal(parent, own, pairs))
        case Junction(name=name, near_pairs=near_pairs, far_pairs=far_pairs):
            between = f"{embed.alias}j"
            joined = " AND ".join(_equal(between, own, far_pairs))
            source = f"{target} INNER JOIN {qualified(name)} AS {between} ON {joined}"
            return source, tuple(_equal(parent, between, near_pairs))
        case Computed(function=function, argument=argument):
            return f"{qualified(function)}({parent}::{qualified(argument)}) AS {own}", ()
        case _ as never:
            assert_never(never)


def _equal(near: str, far: str, pairs: ColumnPairs) -> Iterator[str]:
    for near_column, far_column in pairs:
        yield f"{far}.{identifier(far_column)} = {near}.{identifier(near_column)}"


def _spell_ordering(read: Read, ordering: Ordering) -> str:
    embed = next((each for each in read.embeds if each.alias == ordering.alias), None)
    if embed is None:
        value = spell_column(read.alias, ordering.column)
    else:
        # The embed itself offers JSON, which does not sort like the column it came from.
        source, join = _spell_link(read.alias, embed)
        value = f"(SELECT {spell_column(embed.read.alias, ordering.column)} FROM {source}{_join_conditions(join)})"
    direction = f" {ordering.direction.upper()}" if ordering.direction else ""
    nulls = f" NULLS {ordering.nulls.upper()}" if ordering.nulls else ""
    return f"{value}{direction}{nulls}"


def _deciding(read: Read) -> set[str]:
    """Aliases of the embeds that can drop rows of the parent; a count needs no others."""
    return {embed.alias for embed in read.embeds if embed.inner} | set(_asked_for(read.where))


def _asked_for(predicates: Iterable[Predicate]) -> Iterator[str]:
    for predicate in predicates:
        match predicate:
            case EmbedIs(alias=alias):
                yield alias
            case Junct(members=members):
                yield from _asked_for(members)
            case Matches():
                pass
            case _ as never:
                assert_never(never)
