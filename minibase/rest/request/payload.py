"""Request bodies: read far enough to know the keys; the values stay text for Postgres to read."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

import orjson

from minibase.rest.errors import RestError, refuse
from minibase.rest.request.values import Payload


def read_payload(body: bytes, content_type: str) -> Payload:
    """Turn the body of a write into JSON text plus what the plan must know about it.

    JSON passes through byte for byte; CSV and form data are rewritten as JSON with text values.
    Raises RestError PGRST102 for a body that cannot be read or a content type nobody can write with.
    """
    media = content_type.split(";", maxsplit=1)[0].strip().lower() or "application/json"
    match media:
        case "application/json" | "application/vnd.pgrst.object+json" | "application/vnd.pgrst.array+json":
            return _read_json(body)
        case "text/csv":
            return _describe(_read_csv(body))
        case "application/x-www-form-urlencoded":
            return _describe(dict(parse_qsl(_decode(body), keep_blank_values=True)))
        case _:
            raise _bad_body(f"Content-Type not acceptable: {media}")


def read_arguments(body: bytes) -> Payload:
    """The JSON object of a POST to a function; no body at all means no arguments.

    Raises RestError PGRST102 when it is not JSON. Anything but an object has no keys.
    """
    return _read_json(body or b"{}")


def _read_json(body: bytes) -> Payload:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _bad_body("Empty or invalid json") from error
    return _inspect(document, body)


def _describe(document: Any) -> Payload:
    return _inspect(document, orjson.dumps(document))


def _inspect(document: Any, text: bytes) -> Payload:
    if isinstance(document, dict):
        return Payload(text=text, keys=tuple(document), rows=1)
    if isinstance(document, list):
        return _inspect_array(document, text)
    return Payload(text=text)


def _inspect_array(document: Sequence[Any], text: bytes) -> Payload:
    if not all(isinstance(row, dict) for row in document):
        return Payload(text=text, is_array=True, rows=len(document))
    first = document[0].keys() if document else ()
    uniform = all(row.keys() == first for row in document)
    return Payload(text=text, keys=tuple(first), is_array=True, rows=len(document), uniform=uniform)


def _read_csv(body: bytes) -> list[dict[str, str | None]]:
    rows = list(csv.reader(io.StringIO(_decode(body), newline="")))
    if not rows:
        return []
    header, lines = rows[0], [line for line in rows[1:] if line]
    if any(len(line) != len(header) for line in lines):
        raise _bad_body("All lines must have same number of fields")
    return [
        {key: None if value == "NULL" else value for key, value in zip(header, line, strict=True)} for line in lines
    ]


def _decode(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise _bad_body("The body is not valid UTF-8") from error


def _bad_body(message: str) -> RestError:
    return refuse(400, "PGRST102", message)
