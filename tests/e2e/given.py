"""Where the tests have their Supabase from: a minibase that each starts itself, or the one that `scripts/test --on URL`
names, which is up already and which all of them share, one file after the other.

GIVEN is the second, or None. A test that has to start, kill or break its Supabase is marked `minibase_only` with the
reason, and is skipped there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from minibase.postgres.binaries import find_binaries
from orchestrator.cli.demo import DEMO_IDS
from orchestrator.cli.operators import LOCAL_EMAIL
from orchestrator.cli.target import Target

ROOT = Path(__file__).resolve().parents[2]
# What the tests of people make: nobody's real address.
USERS = ("%@example.com", LOCAL_EMAIL)
# Whoever is still at work in the tables did not end with its test.
LOCK_TIMEOUT = "30s"
KEPT = "select name from unnest(%s::text[]) name where to_regclass(name) is not null"


def made_tables() -> list[str]:
    """Every table that a migration makes, but for those they fill themselves; later ones may have dropped it."""
    text = "\n".join(file.read_text() for file in sorted((ROOT / "supabase" / "migrations").glob("*.sql")))
    filled = set(re.findall(r"^insert into (\w+\.\w+)", text, re.MULTILINE))
    return [name for name in re.findall(r"^create table (\w+\.\w+)", text, re.MULTILINE) if name not in filled]


@dataclass(frozen=True, kw_only=True)
class Given:
    """A Supabase that is up, with our migrations in it."""

    api_url: str
    publishable_key: str = field(repr=False)
    service_key: str = field(repr=False)
    db_url: str = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """What a person sets to work with it."""
        return {
            "SUPABASE_URL": self.api_url,
            "SUPABASE_SERVICE_ROLE_KEY": self.service_key,
            "SUPABASE_PUBLISHABLE_KEY": self.publishable_key,
            "DB_URL": self.db_url,
        }

    @property
    def status(self) -> dict[str, str]:
        """The same under the names of `supabase status`."""
        return {
            "API_URL": self.api_url,
            "SERVICE_ROLE_KEY": self.service_key,
            "PUBLISHABLE_KEY": self.publishable_key,
            "DB_URL": self.db_url,
        }

    @property
    def target(self) -> Target:
        return Target(
            url=self.api_url, service_key=self.service_key, publishable_key=self.publishable_key, found="scripts/test"
        )

    def psql(self, *arguments: str) -> list[str]:
        """The command line of a psql on its database."""
        return [str(find_binaries(None).program("psql")), self.db_url, "-X", *arguments]

    def refusal(self, *, may_empty: bool) -> str | None:
        """Why the tests must not run here: they empty every table of ours, and somebody's stacks are in them."""
        with psycopg.connect(self.db_url) as connection:
            query = "select count(*) from public.agent_stacks where not id = any (%s::uuid[])"
            (found,) = connection.execute(query, [list(DEMO_IDS)]).fetchone() or (0,)
        if not found or may_empty:
            return None
        return (
            f"the tests empty the tables of {self.api_url}, and there are stacks beside the demo ones ({found}); "
            "give another Supabase, or add --empty to have them deleted"
        )

    def renew(self, *, seeded: bool = True) -> None:
        """As after `db reset`: tables of ours empty, no user of a test, and, if wanted, what seed.sql brings."""
        with psycopg.connect(self.db_url) as connection:
            connection.execute(f"set lock_timeout = '{LOCK_TIMEOUT}'")
            kept = connection.execute(KEPT, [made_tables()]).fetchall()
            connection.execute(f"truncate {', '.join(name for (name,) in kept)} cascade")
            connection.execute("delete from auth.users where email like any (%s)", [list(USERS)])
            if seeded:
                connection.execute((ROOT / "supabase" / "seed.sql").read_text())


def read_given(environ: Mapping[str, str]) -> Given | None:
    """What scripts/test found: under names of its own, for the tests hide those that a person sets."""
    url = environ.get("TEST_ON_URL")
    if not url:
        return None
    return Given(
        api_url=url.rstrip("/"),
        service_key=environ["TEST_ON_SERVICE_KEY"],
        publishable_key=environ["TEST_ON_PUBLIC_KEY"],
        db_url=environ["TEST_ON_DB_URL"],
    )


GIVEN = read_given(os.environ)
