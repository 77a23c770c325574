"""Is the database the one our migrations make? Pure: what it says of itself is compared with what they make.

``expected.json`` is that answer of a freshly migrated database; tests/database/test_inspect.py renews it and says when
it is stale. Tables and functions that are not ours are nobody's business here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.doctor.findings import Finding, fail, listing, ok, warn

EXPECTED_FILE = Path(__file__).with_name("expected.json")
# What else the service key may do depends on the age of the project, and nobody minds.
NEEDED_BY_THE_SERVICE = ("delete", "insert", "select", "update")
PEOPLE = ("anon", "authenticated")

MIGRATE = (
    "apply supabase/migrations: `supabase db push` (hosted), `supabase migration up` (local) or `minibase migrate`"
)
UPGRADE = "install the newer Stackbeat that made them"
CLOCK_WARN_S, CLOCK_FAIL_S = 5.0, 120.0

Tables = Mapping[str, Mapping[str, Any]]


@cache
def expectation() -> dict[str, Any]:
    """Tables and functions as our migrations make them."""
    found: dict[str, Any] = json.loads(EXPECTED_FILE.read_text(encoding="utf-8"))
    return found


def judge_clock(database: datetime, here: datetime) -> Finding:
    """Times are the database's, but sign-ins and keys are good for times, and people read both."""
    skew = (database - here).total_seconds()
    if abs(skew) < CLOCK_WARN_S:
        return ok("clock", f"the database's differs from ours by {abs(skew):.1f} s")
    said = f"the database's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} ours"
    todo = "set this machine's clock by NTP (`timedatectl set-ntp true`); if it is right, the database's is not"
    return fail("clock", said, todo) if abs(skew) > CLOCK_FAIL_S else warn("clock", said, todo)


def judge_migrations(shipped: Sequence[str], inspected: Mapping[str, Any]) -> Finding:
    """Migrations by their versions, where the database keeps a record; else by the tables there are."""
    applied: list[str] | None = inspected.get("migrations")
    absent = sorted(set(expectation()["tables"]) - set(inspected["tables"]))
    if absent:
        return fail("migrations", f"tables are missing: {', '.join(absent)}", MIGRATE)
    if applied is None:
        return ok("migrations", "every table is there; the database keeps no record of its migrations")
    pending = sorted(set(shipped) - set(applied))
    if pending:
        return fail("migrations", f"{len(pending)} not applied: {', '.join(pending)}", MIGRATE)
    newer = sorted(version for version in applied if shipped and version > max(shipped))
    if newer:
        return warn("migrations", f"the database has newer ones than this program: {', '.join(newer)}", UPGRADE)
    return ok("migrations", f"all {len(shipped)} applied, the newest is {max(shipped)}" if shipped else "none shipped")


def judge_version(database: int, ours: int) -> Finding:
    """Daemon and database must speak the same version of the verbs."""
    if database == ours:
        return ok("verbs", f"version {database}, as this program speaks")
    said = f"the database has version {database} of the verbs, this program speaks {ours}"
    return fail("verbs", said, MIGRATE if database < ours else UPGRADE)


def judge_tables(tables: Tables) -> list[Finding]:
    """Publication, row-level security and grants of our tables that are there."""
    known = {name: table for name, table in expectation()["tables"].items() if name in tables}
    published = sum(table["published"] for table in known.values())
    return [
        _summed("publication", _unpublished(known, tables), f"{published} tables are published to realtime"),
        _summed("row security", _unguarded(known, tables), f"on for {len(known)} tables, with their policies"),
        *_strangers(known, tables),
    ]


def judge_grants(inspected: Mapping[str, Any]) -> Finding:
    """Who may do what on our tables and functions, as it must be, whatever a project grants by default."""
    expected = expectation()
    known = [name for name in expected["tables"] if name in inspected["tables"]]
    faults = [
        fault
        for name in known
        for fault in _wrong_grants(name, expected["tables"][name]["grants"], inspected["tables"][name]["grants"])
    ]
    for signature, roles in expected["functions"].items():
        there = inspected["functions"].get(signature)
        if there is None:
            faults.append((f"the function {signature} is missing", MIGRATE))
            continue
        of = f"execute on function {signature}"
        faults += [(f"{r} may call {signature}", f"revoke {of} from public, {r};") for r in there if r not in roles]
        faults += [(f"{r} may not call {signature}", f"grant {of} to {r};") for r in roles if r not in there]
    return _summed(
        "grants", faults, f"as they must be on {len(known)} tables and {len(expected['functions'])} functions"
    )


Fault = tuple[str, str]


def _summed(check: str, faults: Iterable[Fault], well: str) -> Finding:
    found = list(faults)
    if not found:
        return ok(check, well)
    todos = list(dict.fromkeys(todo for _, todo in found))
    return fail(check, listing([said for said, _ in found]), "run as SQL: " + " ".join(todos))


def _unpublished(known: Tables, tables: Tables) -> Iterator[Fault]:
    for name, table in known.items():
        if table["published"] and not tables[name]["published"]:
            todo = f"alter publication supabase_realtime add table public.{name};"
            yield f"{name} is not in the publication supabase_realtime, so nobody sees it change", todo
        elif tables[name]["published"] and not table["published"]:
            todo = f"alter publication supabase_realtime drop table public.{name};"
            yield f"{name} is published, which costs a message for every write", todo
        if table["published"] and tables[name]["identity"] != table["identity"]:
            words = f"replica identity is {tables[name]['identity']}, not {table['identity']}"
            yield f"{name}'s {words}", f"alter table public.{name} replica identity {table['identity']};"


def _unguarded(known: Tables, tables: Tables) -> Iterator[Fault]:
    for name, table in known.items():
        if table["rls"] and not tables[name]["rls"]:
            yield f"row-level security is off on {name}", f"alter table public.{name} enable row level security;"
        for policy, what in table["policies"].items():
            if tables[name]["policies"].get(policy) != what:
                yield (
                    f'{name} lacks its policy "{policy}" ({what})',
                    f"-- make it again as in supabase/migrations ({name})",
                )


def _strangers(known: Tables, tables: Tables) -> Iterator[Finding]:
    strange = [
        f'"{policy}" on {name} ({what})'
        for name, table in known.items()
        for policy, what in tables[name]["policies"].items()
        if policy not in table["policies"]
    ]
    if strange:
        todo = "look that they let nobody do more than they should; policies are joined by OR"
        yield warn("policies", f"not from our migrations: {listing(strange)}", todo)


def _wrong_grants(name: str, expected: Mapping[str, list[str]], there: Mapping[str, list[str]]) -> Iterator[Fault]:
    for role in PEOPLE:
        for word in sorted(set(there[role]) - set(expected[role])):
            yield f"{role} may {word} on {name}", f"revoke {word} on public.{name} from {role};"
        for word in sorted(set(expected[role]) - set(there[role])):
            yield f"{role} may not {word} on {name}", f"grant {word} on public.{name} to {role};"
    for word in sorted(set(expected["service_role"]) - set(there["service_role"])):
        yield f"service_role may not {word} on {name}", f"grant {word} on public.{name} to service_role;"
