"""What a request says, before anybody looked whether the named things exist.

Every union here is closed: plan and query match it exhaustively.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeAlias

EmbedPath: TypeAlias = tuple[str, ...]
"""Where in the tree of embeds something applies: () is the relation itself, ("author",) its embed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonStep:
    """One arrow of a JSON path: `->key`, `->>key`, `->0`."""

    as_text: bool
    key: str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A column and an optional way into its JSON."""

    name: str
    path: tuple[JsonStep, ...] = ()

    def output_name(self) -> str | None:
        """The key a JSON path item gets in the result; None when the column's own name will do.

        The last text key names it; where the path ends in an index, the key before that does.
        """
        keys = [step.key for step in self.path if isinstance(step.key, str)]
        return (keys[-1] if keys else self.name) if self.path else None


class Comparator(StrEnum):
    """Operators that become one SQL operator. Values are the wire's words."""

    EQ = "eq"
    NEQ = "neq"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    LIKE = "like"
    ILIKE = "ilike"
    MATCH = "match"
    IMATCH = "imatch"
    IS_DISTINCT = "isdistinct"
    CONTAINS = "cs"
    CONTAINED = "cd"
    OVERLAPS = "ov"
    LEFT_OF = "sl"
    RIGHT_OF = "sr"
    NOT_RIGHT_OF = "nxr"
    NOT_LEFT_OF = "nxl"
    ADJACENT = "adj"


class SearchMode(StrEnum):
    """How a full-text query is read."""

    RAW = "fts"
    PLAIN = "plfts"
    PHRASE = "phfts"
    WEB = "wfts"


Quantifier: TypeAlias = Literal["any", "all"]
IsWord: TypeAlias = Literal["null", "not null", "true", "false", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    """`eq.5`, `like(any).{a*,b*}`: the value stays text, Postgres reads it as the column's type."""

    comparator: Comparator
    value: str
    quantifier: Quantifier | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOf:
    """`in.(a,b)`."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Is:
    """`is.null` and its kin."""

    word: IsWord


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """`fts(english).cat`."""

    mode: SearchMode
    query: str
    config: str | None = None


Test: TypeAlias = Compare | OneOf | Is | Search


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One filter on one field."""

    field: Field
    test: Test
    negated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """`and(...)` / `or(...)`; never empty when it comes from the wire."""

    joiner: Literal["and", "or"]
    members: tuple[ConditionTree, ...]
    negated: bool = False


ConditionTree: TypeAlias = Condition | Group


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectField:
    """A column of the answer; `field.name` is `*` for all of them."""

    field: Field
    alias: str | None = None
    cast: str | None = None
    aggregate: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectEmbed:
    """A related relation inside the answer: `alias:name!hint!inner(items)` or `...name(items)`."""

    name: str
    items: tuple[SelectItem, ...]
    alias: str | None = None
    hint: str | None = None
    inner: bool = False
    spread: bool = False

    @property
    def key(self) -> str:
        """The name the result and the query string know it by."""
        return self.alias or self.name


SelectItem: TypeAlias = SelectField | SelectEmbed


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTerm:
    """One ordering; with `embed`, by a field of that to-one embed."""

    field: Field
    embed: str | None = None
    direction: Literal["asc", "desc"] | None = None
    nulls: Literal["first", "last"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which rows of an ordered set: PostgREST's limit and offset."""

    offset: int = 0
    limit: int | None = None

    def capped(self, most: int | None) -> Window:
        """The same window with at most `most` rows."""
        if most is None:
            return self
        return Window(offset=self.offset, limit=most if self.limit is None else min(self.limit, most))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Everything in the query string that shapes rows."""

    select: tuple[SelectItem, ...]
    conditions: tuple[tuple[EmbedPath, ConditionTree], ...] = ()
    orders: Mapping[EmbedPath, tuple[OrderTerm, ...]] = field(default_factory=dict)
    windows: Mapping[EmbedPath, Window] = field(default_factory=dict)
    columns: tuple[str, ...] | None = None
    on_conflict: tuple[str, ...] | None = None


class CountMode(StrEnum):
    EXACT = "exact"
    PLANNED = "planned"
    ESTIMATED = "estimated"


class ReturnMode(StrEnum):
    MINIMAL = "minimal"
    HEADERS = "headers-only"
    REPRESENTATION = "representation"


class Resolution(StrEnum):
    MERGE = "merge-duplicates"
    IGNORE = "ignore-duplicates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """The `Prefer` header; None where the client left the choice to us."""

    returns: ReturnMode | None = None
    count: CountMode | None = None
    resolution: Resolution | None = None
    missing_default: bool | None = None
    strict: bool | None = None
    max_affected: int | None = None
    timezone: str | None = None


class MediaKind(StrEnum):
    """The bodies we can produce."""

    JSON = "application/json"
    OBJECT = "application/vnd.pgrst.object+json"
    ARRAY = "application/vnd.pgrst.array+json"
    CSV = "text/csv"
    TEXT = "text/plain"
    OCTETS = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    kind: MediaKind
    strip_nulls: bool = False

    @property
    def content_type(self) -> str:
        """The `Content-Type` of the answer."""
        stripped = ";nulls=stripped" if self.strip_nulls else ""
        return (
            f"{self.kind.value}{stripped}"
            if self.kind is MediaKind.OCTETS
            else f"{self.kind.value}{stripped}; charset=utf-8"
        )


class Verb(StrEnum):
    """What a request wants done to a relation."""

    READ = "read"
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnRelation:
    verb: Verb
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OnFunction:
    name: str
    by_get: bool


Target: TypeAlias = OnRelation | OnFunction


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A body that was read far enough to know its keys; the text itself goes to Postgres untouched.

    `keys` is None when the body is not made of objects (or absent).
    """

    text: bytes
    keys: tuple[str, ...] | None = None
    is_array: bool = False
    rows: int = 0
    uniform: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. `pairs` is the query string as it came: only the catalogue tells a call's arguments from filters."""

    target: Target
    method: str
    schema: str
    profile_named: bool
    pairs: tuple[tuple[str, str], ...]
    preferences: Preferences
    media: Media
    range: Window | None
    content_type: str
    body: bytes

    @property
    def head(self) -> bool:
        return self.method == "HEAD"
