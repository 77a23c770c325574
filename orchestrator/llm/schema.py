"""From a pydantic model to the strict JSON schema both providers accept.

Strict mode (constrained decoding) wants: every object closed (``additionalProperties: false``), every property
required, no defaults, no keyword that a grammar cannot express. Bounds that are dropped here are told to the model in
words, and pydantic stays the judge of the reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

KEPT = frozenset({"type", "properties", "items", "enum", "anyOf", "$ref", "$defs", "description"})
SHAPES = frozenset({"type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"})
BOUNDS: Mapping[str, str] = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minimum": "not below {}",
    "maximum": "not above {}",
    "exclusiveMinimum": "above {}",
    "exclusiveMaximum": "below {}",
    "pattern": "matching {}",
    "format": "as {}",
}


class SchemaError(Exception):
    """An output model that strict mode cannot describe; a mistake of the agent's author."""


@lru_cache(maxsize=256)
def strict_schema(model: type[BaseModel]) -> Mapping[str, Any]:
    """The strict form of a model's schema; raises SchemaError for free-form objects and non-object roots."""
    schema = _strict(model.model_json_schema(), model.__name__)
    if schema.get("type") != "object":
        raise SchemaError(f"{model.__name__} is not an object: strict mode wants an object with named fields")
    return schema


def _strict(node: Any, where: str) -> dict[str, Any]:
    if not isinstance(node, dict) or not node.keys() & SHAPES:
        raise SchemaError(f"{where} accepts any value: give it a type")
    if "$ref" in node:
        return {"$ref": node["$ref"]}  # strict mode allows nothing beside a reference
    kept: dict[str, Any] = {key: value for key, value in node.items() if key in KEPT}
    if "oneOf" in node:
        kept["anyOf"] = node["oneOf"]
    if "allOf" in node:
        if len(node["allOf"]) > 1:
            raise SchemaError(f"{where} combines schemas: strict mode has no allOf")
        return _strict(node["allOf"][0], where)
    if "const" in node:
        kept["enum"] = [node["const"]]
    if "anyOf" in kept:
        kept["anyOf"] = [_strict(option, where) for option in kept["anyOf"]]
    if "$defs" in kept:
        kept["$defs"] = {name: _strict(inner, name) for name, inner in kept["$defs"].items()}
    if kept.get("type") == "object":
        _close(kept, node, where)
    if kept.get("type") == "array":
        kept["items"] = _strict(node.get("items"), f"{where}[]")
    return _with_bounds(kept, node)


def _close(kept: dict[str, Any], node: Mapping[str, Any], where: str) -> None:
    properties = node.get("properties")
    if not properties:
        raise SchemaError(f"{where} is a free-form object: strict mode wants named fields")
    kept["properties"] = {name: _strict(inner, f"{where}.{name}") for name, inner in properties.items()}
    kept["required"] = list(properties)
    kept["additionalProperties"] = False


def _with_bounds(kept: dict[str, Any], node: Mapping[str, Any]) -> dict[str, Any]:
    bounds = [words.format(node[key]) for key, words in BOUNDS.items() if key in node]
    if bounds:
        description = kept.get("description")
        kept["description"] = " ".join(filter(None, [description, f"({', '.join(bounds)})"]))
    return kept
