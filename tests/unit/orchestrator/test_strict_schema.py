from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from orchestrator.llm.schema import KEPT, SchemaError, strict_schema


class Create(BaseModel):
    kind: Literal["create"]
    title: str = Field(min_length=1, max_length=200, description="What to make.")
    priority: int = Field(default=5, ge=1, le=10)


class Drop(BaseModel):
    kind: Literal["drop"]
    why: str | None = None


class Plan(BaseModel):
    thinking: str = Field(max_length=1000)
    steps: list[Annotated[Create | Drop, Field(discriminator="kind")]] = Field(default_factory=list, max_length=5)


class Free(BaseModel):
    notes: dict[str, str]


class Anything(BaseModel):
    value: Any


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for key, inner in schema.items():
            if key in {"properties", "$defs"}:
                for child in inner.values():
                    yield from nodes(child)
            elif key in {"items", "anyOf"}:
                yield from nodes(inner)
    elif isinstance(schema, list):
        for child in schema:
            yield from nodes(child)


def test_every_object_is_closed_and_requires_all_it_has() -> None:
    objects = [node for node in nodes(strict_schema(Plan)) if node.get("type") == "object"]
    assert len(objects) == 3
    for node in objects:
        assert node["additionalProperties"] is False
        assert node["required"] == list(node["properties"])


def test_no_keyword_outside_the_strict_set_survives() -> None:
    allowed = KEPT | {"required", "additionalProperties"}
    for node in nodes(strict_schema(Plan)):
        assert set(node) <= allowed, node


def test_optional_stays_nullable_and_bounds_become_words() -> None:
    definitions = strict_schema(Plan)["$defs"]
    assert {"type": "null"} in definitions["Drop"]["properties"]["why"]["anyOf"]
    assert "at most 200 characters" in definitions["Create"]["properties"]["title"]["description"]
    assert definitions["Create"]["properties"]["title"]["description"].startswith("What to make.")
    assert definitions["Create"]["properties"]["kind"]["enum"] == ["create"]


@pytest.mark.parametrize("model", [Free, Anything])
def test_what_strict_mode_cannot_say_is_refused(model: type[BaseModel]) -> None:
    with pytest.raises(SchemaError, match=model.__name__):
        strict_schema(model)
