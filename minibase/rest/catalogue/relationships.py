"""Relationships from foreign keys: both directions of each, and many-to-many through junctions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import permutations

from minibase.rest.catalogue.values import (
    Cardinality,
    ColumnPairs,
    Computed,
    Direct,
    ForeignKey,
    Function,
    Junction,
    Name,
    Relation,
    Relationship,
)


def derive_relationships(
    relations: Mapping[Name, Relation], keys: Sequence[ForeignKey], functions: Iterable[Function]
) -> dict[Name, tuple[Relationship, ...]]:
    """Everything that can be embedded into a relation, by that relation's name."""
    found: dict[Name, list[Relationship]] = defaultdict(list)
    for relationship in (*_direct(keys), *_through_junctions(relations, keys), *_computed(functions)):
        if relationship.source in relations and relationship.target in relations:
            found[relationship.source].append(relationship)
    return {name: tuple(each) for name, each in found.items()}


def _direct(keys: Iterable[ForeignKey]) -> Iterator[Relationship]:
    for key in keys:
        yield Relationship(
            source=key.source,
            target=key.target,
            cardinality=Cardinality.ONE_TO_ONE if key.unique else Cardinality.MANY_TO_ONE,
            link=Direct(constraint=key.constraint, pairs=key.pairs),
        )
        yield Relationship(
            source=key.target,
            target=key.source,
            cardinality=Cardinality.ONE_TO_ONE if key.unique else Cardinality.ONE_TO_MANY,
            link=Direct(constraint=key.constraint, pairs=_reverse(key.pairs)),
        )


def _through_junctions(relations: Mapping[Name, Relation], keys: Iterable[ForeignKey]) -> Iterator[Relationship]:
    by_source: dict[Name, list[ForeignKey]] = defaultdict(list)
    for key in keys:
        by_source[key.source].append(key)
    for source, own in by_source.items():
        primary = set(relations[source].primary_key) if source in relations else set()
        inside = [key for key in own if primary.issuperset(near for near, _ in key.pairs)]
        for near, far in permutations(inside, 2):
            yield Relationship(
                source=near.target,
                target=far.target,
                cardinality=Cardinality.MANY_TO_MANY,
                link=Junction(
                    name=source,
                    near_constraint=near.constraint,
                    near_pairs=_reverse(near.pairs),
                    far_constraint=far.constraint,
                    far_pairs=far.pairs,
                ),
            )


def _computed(functions: Iterable[Function]) -> Iterator[Relationship]:
    for function in functions:
        if function.row_argument is None or function.relation is None:
            continue
        single = function.expects_one or not function.returns_set
        yield Relationship(
            source=function.row_argument,
            target=function.relation,
            cardinality=Cardinality.MANY_TO_ONE if single else Cardinality.ONE_TO_MANY,
            link=Computed(function=function.name, argument=function.row_argument),
        )


def _reverse(pairs: ColumnPairs) -> ColumnPairs:
    return tuple((far, near) for near, far in pairs)
