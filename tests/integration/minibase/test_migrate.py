"""Migrations and seeds against a real database, with the CLI's bookkeeping."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from minibase.errors import MinibaseError
from minibase.postgres.endpoint import Endpoint, Login
from minibase.postgres.migrate import MigrationError, migrate, seed
from minibase.postgres.session import open_session


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    (tmp_path / "supabase" / "migrations").mkdir(parents=True)
    return tmp_path


class Project:
    """A project folder, its database, and what was said."""

    def __init__(self, workdir: Path, endpoint: Endpoint) -> None:
        self.workdir = workdir
        self.endpoint = endpoint
        self.said: list[str] = []

    def write(self, path: str, sql: str) -> None:
        (self.workdir / "supabase" / path).write_text(sql)

    async def migrate(self, *, include_all: bool = False) -> int:
        folder = self.workdir / "supabase" / "migrations"
        return await migrate(self.endpoint, folder, self.said.append, include_all=include_all)

    async def seed(self) -> int:
        return await seed(self.endpoint, self.workdir, ["./seed.sql"], self.said.append)

    async def value(self, sql: str) -> object:
        async with open_session(self.endpoint, Login.OWNER) as session:
            return await session.fetchval(sql)


@pytest.fixture
def project(workdir: Path, endpoint: Endpoint) -> Project:
    return Project(workdir, endpoint)


async def test_each_file_is_applied_once_and_recorded_as_the_cli_does(project: Project) -> None:
    project.write("migrations/1_a.sql", "-- a table\ncreate table a (id int);\n\ninsert into a values (1);\n-- end\n")
    assert await project.migrate() == 1
    project.write("migrations/2_b.sql", "insert into a values (2);")
    assert await project.migrate() == 1
    assert await project.migrate() == 0
    assert project.said == ["applying migration 1_a.sql", "applying migration 2_b.sql"]
    assert await project.value("select count(*) from a") == 2
    async with open_session(project.endpoint, Login.OWNER) as session:
        rows = await session.fetch("select version, name, statements from supabase_migrations.schema_migrations")
    assert [tuple(row) for row in rows] == [
        ("1", "a", ["-- a table\ncreate table a (id int)", "insert into a values (1)"]),
        ("2", "b", ["insert into a values (2)"]),
    ]


async def test_a_file_that_fails_half_way_leaves_nothing_and_says_where(project: Project) -> None:
    project.write("migrations/1_good.sql", "create table good ();")
    project.write("migrations/2_bad.sql", "create table bad ();\n\nselect 1,\n  no_such_column from bad;")
    with pytest.raises(MigrationError) as failure:
        await project.migrate()
    assert str(failure.value) == (
        '2_bad.sql, statement 2, line 4: column "no_such_column" does not exist. Nothing of this file was applied.'
    )
    assert await project.value("select to_regclass('bad')") is None
    assert await project.value("select string_agg(version, ',') from supabase_migrations.schema_migrations") == "1"
    project.write("migrations/2_bad.sql", "create table bad ();")
    assert await project.migrate() == 1


async def test_a_failure_without_a_position_names_the_line_of_its_first_word(project: Project) -> None:
    project.write(
        "migrations/1_a.sql", "create table a (id int primary key);\n-- twice\n\ninsert into a values (1), (1);"
    )
    with pytest.raises(
        MigrationError, match=r"statement 2, line 4: duplicate key .* - Key \(id\)=\(1\) already exists\."
    ):
        await project.migrate()


async def test_a_concurrent_index_runs_outside_a_transaction(project: Project) -> None:
    project.write("migrations/1_a.sql", "create table a (id int); create index concurrently a_id on a (id);")
    await project.migrate()
    assert await project.value("select to_regclass('a_id')::text") == "a_id"
    project.write("migrations/2_b.sql", "create table b (); create index concurrently i on b (no);")
    with pytest.raises(MigrationError, match="earlier statements stay done"):
        await project.migrate()


async def test_begin_and_commit_of_its_own_do_not_break_a_file_apart(project: Project) -> None:
    project.write("migrations/1_a.sql", "begin; create table a (); commit; select no;")
    with pytest.raises(MigrationError, match="Nothing of this file"):
        await project.migrate()
    assert await project.value("select to_regclass('a')") is None


async def test_settings_and_roles_of_one_file_do_not_reach_the_next(project: Project) -> None:
    project.write("migrations/1_a.sql", "set role anon; select set_config('search_path', '', false);")
    project.write("migrations/2_b.sql", "create table b ();")
    assert await project.migrate() == 2
    assert await project.value("select to_regclass('public.b')::text") == "b"


async def test_migrations_run_as_postgres_who_is_no_superuser(project: Project) -> None:
    project.write("migrations/1_a.sql", "create table a ();")
    await project.migrate()
    assert await project.value("select tableowner from pg_tables where tablename = 'a'") == "postgres"
    project.write("migrations/2_b.sql", "create role boss superuser;")
    with pytest.raises(MigrationError, match="permission denied to create role"):
        await project.migrate()


async def test_a_file_of_another_name_is_skipped_aloud(project: Project) -> None:
    project.write("migrations/notes.sql", "select no;")
    assert await project.migrate() == 0
    assert project.said == ["skipping notes.sql: a migration is called <digits>_<name>.sql"]


async def test_a_seed_runs_once_and_is_recorded_by_its_hash(project: Project) -> None:
    sql = "create table s (id int); insert into s values (1);"
    project.write("seed.sql", sql)
    assert await project.seed() == 1
    assert await project.seed() == 0
    assert await project.value("select hash from supabase_migrations.seed_files where path = 'supabase/seed.sql'") == (
        hashlib.sha256(sql.encode()).hexdigest()
    )
    project.write("seed.sql", sql + "insert into s values (2);")
    assert await project.seed() == 0
    assert "has changed since it ran" in project.said[-1]


async def test_a_failing_seed_is_run_again_next_time(project: Project) -> None:
    project.write("seed.sql", "create table s (id int); select no;")
    with pytest.raises(MigrationError, match=r"supabase/seed\.sql, statement 2, line 1"):
        await project.seed()
    project.write("seed.sql", "create table s (id int);")
    assert await project.seed() == 1


async def test_a_file_that_is_not_utf8_is_named(project: Project) -> None:
    (project.workdir / "supabase" / "migrations" / "1_a.sql").write_bytes(b"select '\xff'")
    with pytest.raises(MinibaseError, match=r"1_a\.sql is not UTF-8 text: byte 8"):
        await project.migrate()


async def test_two_who_migrate_at_once_apply_each_file_once(project: Project) -> None:
    project.write("migrations/1_a.sql", "create table a (); select pg_sleep(0.2);")
    project.write("migrations/2_b.sql", "create table b ();")
    assert sorted(await asyncio.gather(project.migrate(), project.migrate())) == [0, 2]
