"""The settings a transaction runs under: who asks, what was asked, and what the role and the function bring along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from minibase.rest.catalogue.values import Catalogue
from minibase.rest.identity import Identity
from minibase.rest.plan.values import CallPlan, Plan, ReadPlan
from minibase.rest.request.values import Request


def session_settings(
    *,
    catalogue: Catalogue,
    request: Request,
    plan: Plan,
    identity: Identity,
    path: str,
    headers: Sequence[tuple[str, str]],
    extra_search_path: Sequence[str],
) -> dict[str, bytes]:
    """Names and values in the order of application: a function's own time limit replaces the role's."""
    shown = {name: value for name, value in headers if name != "cookie"}
    settings = {
        "search_path": _search_path(request.schema, extra_search_path),
        "role": identity.role.encode(),
        "request.jwt.claims": identity.claims,
        "request.method": request.method.encode(),
        "request.path": path.encode(),
        "request.headers": orjson.dumps(shown),
        "request.cookies": orjson.dumps(_cookies(headers)),
    }
    settings |= _encoded(catalogue.role_settings.get(identity.role, {}))
    if isinstance(plan, CallPlan):
        # Postgres applies a function's settings when it is entered, too late for the running statement's time limit.
        limits = {name: value for name, value in plan.function.settings.items() if name == "statement_timeout"}
        settings |= _encoded(limits)
    if request.preferences.timezone:
        settings["timezone"] = request.preferences.timezone.encode()
    return settings


def reads_only(request: Request, plan: Plan) -> bool:
    """Whether the transaction must not write."""
    if isinstance(plan, ReadPlan):
        return True
    return isinstance(plan, CallPlan) and (request.method != "POST" or plan.function.reads_only)


def _search_path(schema: str, extra: Sequence[str]) -> bytes:
    names = dict.fromkeys((schema, *extra))
    return ", ".join('"' + name.replace('"', '""') + '"' for name in names).encode()


def _encoded(settings: Mapping[str, str]) -> dict[str, bytes]:
    return {name: value.encode() for name, value in settings.items()}


def _cookies(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    pairs = (pair.partition("=") for name, value in headers if name == "cookie" for pair in value.split(";"))
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}
