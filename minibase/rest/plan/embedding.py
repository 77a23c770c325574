"""Which relationship an embed means: by the target's name, a constraint's or a column's, narrowed by a hint."""

from __future__ import annotations

from typing import assert_never

from minibase.rest.catalogue.values import (
    Catalogue,
    ColumnPairs,
    Computed,
    Direct,
    Junction,
    Name,
    Relationship,
)
from minibase.rest.errors import RestError, refuse
from minibase.rest.plan.nearest import nearest
from minibase.rest.request.values import SelectEmbed


def choose_relationship(catalogue: Catalogue, source: Name, embed: SelectEmbed) -> Relationship:
    """The one relationship from `source` the embed can mean.

    Raises RestError PGRST200 where there is none and PGRST201 where there are several.
    """
    known = catalogue.relationships.get(source, ())
    found = [each for each in known if _is_called(each, embed.name)]
    computed = [each for each in found if isinstance(each.link, Computed)]
    found = computed or found
    if embed.hint is not None:
        found = [each for each in found if _answers_to(each, embed.hint)]
    if not found:
        raise _no_relationship(source, embed, known)
    if len(found) > 1 and source == found[0].target:
        found = _children_of_self(found, embed.hint)
    if len(found) > 1:
        raise _ambiguous(source, embed, found)
    return found[0]


def _is_called(relationship: Relationship, name: str) -> bool:
    match relationship.link:
        case Computed(function=function):
            return function.local == name
        case Direct(constraint=constraint, pairs=pairs):
            return name in (relationship.target.local, constraint) or _is_column(relationship, pairs, name)
        case Junction():
            return relationship.target.local == name
        case _ as never:
            assert_never(never)


def _is_column(relationship: Relationship, pairs: ColumnPairs, name: str) -> bool:
    """A foreign key's column names the to-one side only: it stands in the source."""
    return relationship.cardinality.to_one and len(pairs) == 1 and pairs[0][0] == name


def _answers_to(relationship: Relationship, hint: str) -> bool:
    match relationship.link:
        case Computed():
            return False
        case Direct(constraint=constraint, pairs=pairs):
            return hint == constraint or (len(pairs) == 1 and hint in pairs[0])
        case Junction(name=name, near_constraint=near, far_constraint=far):
            return hint in (name.local, near, far)
        case _ as never:
            assert_never(never)


def _children_of_self(found: list[Relationship], hint: str | None) -> list[Relationship]:
    """A self reference goes both ways under one name. Its column as the name asks for the parent, as the hint for
    the children.
    """
    children = [
        each
        for each in found
        if isinstance(each.link, Direct) and len(each.link.pairs) == 1 and hint == each.link.pairs[0][1]
    ]
    return children if len(children) == 1 else found


def _no_relationship(source: Name, embed: SelectEmbed, known: tuple[Relationship, ...]) -> RestError:
    hint_used = f" using the hint '{embed.hint}'" if embed.hint else ""
    like = nearest(embed.name, (each.target.local for each in known))
    return refuse(
        400,
        "PGRST200",
        f"Could not find a relationship between '{source.local}' and '{embed.name}' in the schema cache",
        f"Searched for a foreign key relationship between '{source.local}' and '{embed.name}'{hint_used}"
        f" in the schema '{source.schema}', but no matches were found.",
        hint=f"Perhaps you meant '{like}' instead of '{embed.name}'." if like and like != embed.name else None,
    )


def _ambiguous(source: Name, embed: SelectEmbed, found: list[Relationship]) -> RestError:
    spellings = ", ".join(f"'{embed.name}!{_hint_for(each)}'" for each in found)
    return refuse(
        300,
        "PGRST201",
        f"Could not embed because more than one relationship was found for '{source.local}' and '{embed.name}'",
        [_describe(each) for each in found],
        hint=f"Try changing '{embed.name}' to one of the following: {spellings}."
        " Find the desired relationship in the 'details' key.",
    )


def _hint_for(relationship: Relationship) -> str:
    match relationship.link:
        case Computed(function=function):
            return function.local
        case Direct(constraint=constraint):
            return constraint
        case Junction(name=name):
            return name.local
        case _ as never:
            assert_never(never)


def _describe(relationship: Relationship) -> dict[str, str]:
    source, target = relationship.source.local, relationship.target.local
    match relationship.link:
        case Computed(function=function):
            how = f"{function.local} computed relationship"
        case Direct(constraint=constraint, pairs=pairs):
            near, far = (", ".join(side) for side in zip(*pairs, strict=True))
            how = f"{constraint} using {source}({near}) and {target}({far})"
        case Junction(name=name, near_constraint=near, far_constraint=far):
            how = f"{name.local} using {near} and {far}"
        case _ as never:
            assert_never(never)
    return {
        "cardinality": relationship.cardinality.value,
        "embedding": f"{source} with {target}",
        "relationship": how,
    }
