"""Planning rows: select list, filters, order and windows, for a relation and everything embedded in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Final, assert_never

from minibase.rest.catalogue.values import Catalogue, Computed, Direct, Junction, Relation
from minibase.rest.errors import RestError, refuse
from minibase.rest.plan.embedding import choose_relationship
from minibase.rest.plan.values import (
    ColumnUse,
    Embed,
    EmbedIs,
    Junct,
    Matches,
    Ordering,
    Output,
    Predicate,
    Read,
    Source,
    Stored,
)
from minibase.rest.request.values import (
    Condition,
    ConditionTree,
    EmbedPath,
    Field,
    Group,
    Is,
    OrderTerm,
    SelectEmbed,
    SelectField,
    SelectItem,
    Shape,
    Window,
)

_EVERYTHING: Final = Window()
_JSON_TYPES: Final = frozenset({"json", "jsonb"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadScope:
    """What stays the same while one tree of embeds is planned."""

    catalogue: Catalogue
    shape: Shape
    max_rows: int | None
    aliases: Iterator[int] = field(default_factory=count)


def plan_read(scope: ReadScope, source: Source, relation: Relation | None, *, capped: bool = True) -> Read:
    """Plan the whole tree below `source`, whose columns are those of `relation` where that is known.

    Raises RestError PGRST108 (filter on what is not embedded), 118, 120, 123, 127, 200, 201.
    """
    scope = replace(scope, shape=_with_settled_paths(scope.shape))
    return _plan_level(
        scope, source, relation, path=(), items=scope.shape.select, max_rows=scope.max_rows if capped else None
    )


def _plan_level(
    scope: ReadScope,
    source: Source,
    relation: Relation | None,
    *,
    path: EmbedPath,
    items: tuple[SelectItem, ...],
    max_rows: int | None,
) -> Read:
    alias = f"t{next(scope.aliases)}"
    embeds = {item.key: _plan_embed(scope, relation, path, item) for item in items if isinstance(item, SelectEmbed)}
    level = _Level(relation=relation, embeds=embeds)
    shape = scope.shape
    return Read(
        source=source,
        alias=alias,
        outputs=tuple(level.output(item) for item in items if isinstance(item, SelectField)),
        where=tuple(level.predicate(tree) for at, tree in shape.conditions if at == path),
        order=tuple(level.ordering(term) for term in shape.orders.get(path, ())),
        window=shape.windows.get(path, _EVERYTHING).capped(max_rows),
        embeds=tuple(embeds.values()),
    )


def _plan_embed(scope: ReadScope, parent: Relation | None, path: EmbedPath, item: SelectEmbed) -> Embed:
    if parent is None:
        raise _nothing_to_embed_in(item)
    relationship = choose_relationship(scope.catalogue, parent.name, item)
    target = scope.catalogue.relations[relationship.target]
    below = (*path, item.key)
    items = _expand_star(item.items, target) if item.spread else item.items
    read = _plan_level(scope, Stored(target.name), target, path=below, items=items, max_rows=scope.max_rows)
    return Embed(
        key=item.key,
        alias=f"e{next(scope.aliases)}",
        read=read,
        target=target.name,
        link=relationship.link,
        to_one=relationship.cardinality.to_one,
        inner=item.inner,
        spread=item.spread,
        shown=bool(items),
        keys=tuple(_keys(read)),
    )


def _nothing_to_embed_in(item: SelectEmbed) -> RestError:
    return refuse(
        400,
        "PGRST200",
        f"Could not find a relationship between the result and '{item.name}' in the schema cache",
        "Only rows of a table or view can have others embedded.",
    )


def _expand_star(items: tuple[SelectItem, ...], relation: Relation) -> tuple[SelectItem, ...]:
    """A spread lifts columns one by one, so it has to know their names."""
    expanded: list[SelectItem] = []
    for item in items:
        if isinstance(item, SelectField) and item.field.name == "*":
            expanded += [SelectField(field=Field(name=name)) for name in relation.columns]
        else:
            expanded.append(item)
    return tuple(expanded)


def _keys(read: Read) -> Iterator[str]:
    for output in read.outputs:
        yield output.key or output.column.name
    for embed in read.embeds:
        if embed.spread:
            yield from embed.keys
        elif embed.shown:
            yield embed.key


@dataclass(frozen=True, slots=True, kw_only=True)
class _Level:
    """One relation of the tree: resolves fields against its columns and its embeds."""

    relation: Relation | None
    embeds: Mapping[str, Embed]

    def output(self, item: SelectField) -> Output:
        if item.aggregate is not None:
            raise refuse(400, "PGRST123", "Use of aggregate functions is not allowed")
        return Output(column=self.column(item.field), key=item.alias or item.field.output_name(), cast=item.cast)

    def column(self, of: Field) -> ColumnUse:
        return use_column(self.relation, of)

    def predicate(self, tree: ConditionTree) -> Predicate:
        match tree:
            case Group(joiner=joiner, members=members, negated=negated):
                return Junct(joiner=joiner, members=tuple(map(self.predicate, members)), negated=negated)
            case Condition():
                embed = self._embed_named(tree.field)
                return self._presence(embed, tree) if embed else plan_condition(self.relation, tree)
            case _ as never:
                assert_never(never)

    def _embed_named(self, of: Field) -> Embed | None:
        """An embed answers to its key where no column of that name is there to be filtered."""
        embed = self.embeds.get(of.name)
        is_column = self.relation is not None and of.name in self.relation.columns
        return embed if embed and not embed.spread and not is_column and not of.path else None

    def _presence(self, embed: Embed, condition: Condition) -> EmbedIs:
        match condition.test:
            case Is(word="null"):
                return EmbedIs(alias=embed.alias, present=condition.negated)
            case Is(word="not null"):
                return EmbedIs(alias=embed.alias, present=not condition.negated)
            case _:
                raise refuse(
                    400,
                    "PGRST120",
                    f"Bad operator on the '{embed.key}' embedded resource",
                    "Only is null or not is null filters are allowed on embedded resources",
                )

    def ordering(self, term: OrderTerm) -> Ordering:
        if term.embed is None:
            return Ordering(column=self.column(term.field), direction=term.direction, nulls=term.nulls)
        embed = self.embeds.get(term.embed)
        if embed is None:
            raise _not_embedded(term.embed)
        if not embed.to_one:
            raise refuse(
                400,
                "PGRST118",
                f"A related order on '{term.embed}' is not possible",
                f"'{self.relation.name.local if self.relation else 'The result'}' and '{term.embed}'"
                " do not form a many-to-one or one-to-one relationship",
            )
        return Ordering(
            column=ColumnUse(name=term.field.name, path=term.field.path, wrap=True),
            alias=embed.alias,
            direction=term.direction,
            nulls=term.nulls,
        )


def use_column(relation: Relation | None, of: Field) -> ColumnUse:
    """Resolve a field. A name the relation has no column for may be a computed field: Postgres will know."""
    column = relation.columns.get(of.name) if relation else None
    base = column.base if column else None
    return ColumnUse(name=of.name, path=of.path, wrap=base not in _JSON_TYPES, is_vector=base == "tsvector")


def plan_condition(relation: Relation | None, condition: Condition) -> Matches:
    return Matches(column=use_column(relation, condition.field), test=condition.test, negated=condition.negated)


def _with_settled_paths(shape: Shape) -> Shape:
    """Every path spelt with the keys of the select list. Raises RestError PGRST108 for one that leads nowhere."""
    if not any((*(at for at, _ in shape.conditions), *shape.orders, *shape.windows)):
        return shape
    return replace(
        shape,
        conditions=tuple((_settle_path(at, shape.select), tree) for at, tree in shape.conditions),
        orders={_settle_path(at, shape.select): terms for at, terms in shape.orders.items()},
        windows={_settle_path(at, shape.select): window for at, window in shape.windows.items()},
    )


def _settle_path(path: EmbedPath, items: tuple[SelectItem, ...]) -> EmbedPath:
    """An embed answers to its key, and to its relation's name where an alias hides that."""
    settled: list[str] = []
    for step in path:
        embeds = [item for item in items if isinstance(item, SelectEmbed)]
        below = next((each for each in embeds if each.key == step), None)
        below = below or next((each for each in embeds if each.name == step), None)
        if below is None:
            raise _not_embedded(step)
        settled.append(below.key)
        items = below.items
    return tuple(settled)


def _not_embedded(name: str) -> RestError:
    return refuse(
        400,
        "PGRST108",
        f"'{name}' is not an embedded resource in this request",
        hint=f"Verify that '{name}' is included in the 'select' query parameter.",
    )


def needed_columns(read: Read) -> tuple[str, ...]:
    """The columns of the source that a read touches: for RETURNING, which must not read more.

    `("*",)` where all are wanted.
    """
    names = [output.column.name for output in read.outputs]
    names += [each.column.name for each in read.order if each.alias is None]
    for predicate in read.where:
        names += _predicate_columns(predicate)
    for embed in read.embeds:
        names += _link_columns(embed)
    return ("*",) if "*" in names else tuple(dict.fromkeys(names))


def _predicate_columns(predicate: Predicate) -> list[str]:
    match predicate:
        case Matches(column=column):
            return [column.name]
        case EmbedIs():
            return []
        case Junct(members=members):
            return [name for member in members for name in _predicate_columns(member)]
        case _ as never:
            assert_never(never)


def _link_columns(embed: Embed) -> list[str]:
    match embed.link:
        case Direct(pairs=pairs) | Junction(near_pairs=pairs):
            return [near for near, _ in pairs]
        case Computed():
            return ["*"]
        case _ as never:
            assert_never(never)
