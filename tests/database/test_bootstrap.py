"""What a program finds in a bootstrapped database before any migration has run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import date, timedelta

import asyncpg
import pytest

from minibase.errors import MinibaseError
from minibase.postgres.bootstrap import bootstrap, read_steps
from minibase.postgres.endpoint import Endpoint, Login
from minibase.postgres.session import open_session

Session = asyncpg.Connection


@pytest.fixture
async def admin(endpoint: Endpoint) -> AsyncIterator[Session]:
    async with open_session(endpoint, Login.ADMIN) as session:
        yield session


@pytest.fixture
async def owner(endpoint: Endpoint) -> AsyncIterator[Session]:
    """A session of the role that runs migrations."""
    async with open_session(endpoint, Login.OWNER) as session:
        yield session


async def become(session: Session, role: str, **claims: object) -> None:
    """What a request does at its start."""
    await session.execute(f"set local role {role}")
    await session.execute("select set_config('request.jwt.claims', $1, true)", json.dumps({"role": role, **claims}))


# -- versions ------------------------------------------------------------------------------------------------------


async def test_bootstrapping_again_changes_nothing(endpoint: Endpoint) -> None:
    assert await bootstrap(endpoint) == 0


async def test_a_database_of_a_newer_minibase_is_refused(endpoint: Endpoint, admin: Session) -> None:
    newer = read_steps()[-1].version + 1
    await admin.execute("insert into _minibase.bootstrap (version, name) values ($1, 'future')", newer)
    with pytest.raises(MinibaseError, match=f"newer minibase .version {newer}.*Update stackbeat"):
        await bootstrap(endpoint)


async def test_a_database_of_an_older_minibase_gets_what_it_lacks(endpoint: Endpoint, admin: Session) -> None:
    await admin.execute("drop event trigger pgrst_ddl_watch; drop event trigger pgrst_drop_watch")
    await admin.execute("drop function extensions.pgrst_ddl_watch, extensions.pgrst_drop_watch")
    await admin.execute("delete from _minibase.bootstrap where version >= 5")
    assert await bootstrap(endpoint) == read_steps()[-1].version - 4
    assert await admin.fetchval("select count(*) from pg_event_trigger where evtname like 'pgrst%'") == 2


# -- roles ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", list(Login))
async def test_every_login_role_signs_in_with_its_password_and_no_other(endpoint: Endpoint, login: Login) -> None:
    connection = await asyncpg.connect(endpoint.dsn(login), ssl=False)
    assert await connection.fetchval("select current_user") == login
    await connection.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(endpoint.dsn(login), password="guess", ssl=False)


async def test_roles_have_the_rights_they_have_on_hosted_supabase(admin: Session) -> None:
    rows = await admin.fetch(
        """
        select rolname, concat_ws(' ', case when rolsuper then 'super' end, case when rolinherit then 'inherit' end,
            case when rolcanlogin then 'login' end, case when rolbypassrls then 'bypassrls' end,
            case when rolcreatedb then 'createdb' end, case when rolcreaterole then 'createrole' end,
            case when rolreplication then 'replication' end)
        from pg_roles
        """
    )
    rights = dict(tuple(row) for row in rows)
    assert rights["anon"] == rights["authenticated"] == "inherit"
    assert rights["service_role"] == "inherit bypassrls"
    assert rights["authenticator"] == "login"
    assert rights["postgres"] == "inherit login bypassrls createdb createrole replication"
    assert rights["supabase_auth_admin"] == "login createrole"


async def test_the_authenticator_may_become_the_three_api_roles_and_nobody_else(admin: Session) -> None:
    members = await admin.fetchval(
        "select array_agg(roleid::regrole::text order by roleid::regrole::text) from pg_auth_members"
        " where member = 'authenticator'::regrole"
    )
    assert members == ["anon", "authenticated", "service_role"]


async def test_time_limits_belong_to_the_roles(admin: Session) -> None:
    rows = await admin.fetch("select rolname, rolconfig from pg_roles where rolconfig is not null")
    settings = {row["rolname"]: set(row["rolconfig"]) for row in rows}
    assert settings["anon"] == {"statement_timeout=3s"}
    assert settings["authenticated"] == {"statement_timeout=8s"}
    assert settings["authenticator"] == {"statement_timeout=8s", "lock_timeout=8s"}
    assert "service_role" not in settings


async def test_the_server_runs_as_the_product_needs_it(owner: Session) -> None:
    async def setting(name: str) -> object:
        return await owner.fetchval("select current_setting($1)", name)

    assert await setting("wal_level") == "logical"
    assert await setting("synchronous_commit") == "on"
    assert await setting("timezone") == "UTC"
    assert await setting("server_encoding") == "UTF8"
    assert await setting("search_path") == '"$user", public, extensions'
    assert await setting("listen_addresses") == "127.0.0.1"
    assert await setting("unix_socket_directories") == ""


# -- grants --------------------------------------------------------------------------------------------------------


async def reach(session: Session) -> set[str]:
    """Who may use a new table, sequence and function of `postgres` without any grant in its migration."""
    await session.execute(
        "create table fresh (id bigserial); create function fresh_f() returns int language sql return 1;"
        "revoke execute on function fresh_f() from public"
    )
    rows = await session.fetch(
        """
        select rolname || ' ' || what as found from pg_roles,
        lateral (values ('table', has_table_privilege(rolname, 'fresh', 'select, insert, update, delete')),
            ('sequence', has_sequence_privilege(rolname, 'fresh_id_seq', 'usage')),
            ('function', has_function_privilege(rolname, 'fresh_f()', 'execute'))) as granted (what, yes)
        where rolname in ('anon', 'authenticated', 'service_role') and yes
        """
    )
    return {row["found"] for row in rows}


async def test_new_tables_are_exposed_by_default(owner: Session) -> None:
    assert len(await reach(owner)) == 9


async def test_new_tables_are_closed_where_the_config_says_so(endpoint: Endpoint, owner: Session) -> None:
    await bootstrap(endpoint, auto_expose_new_tables=False)
    assert await reach(owner) == set()


async def test_the_api_roles_see_nothing_of_auth_but_its_helpers(admin: Session) -> None:
    granted = await admin.fetchval(
        """
        select count(*) from pg_tables, unnest(array['anon', 'authenticated', 'service_role']) as role
        where schemaname = 'auth' and has_table_privilege(role, format('auth.%I', tablename), 'select, insert, update')
        """
    )
    assert granted == 0
    assert await admin.fetchval("select bool_and(rowsecurity) from pg_tables where schemaname = 'auth'")
    assert await admin.fetchval(
        "select bool_and(tableowner = 'supabase_auth_admin') from pg_tables where schemaname = 'auth'"
    )


async def test_platform_schemas_belong_to_the_superuser_so_that_a_remote_reset_keeps_them(admin: Session) -> None:
    owners = await admin.fetch(
        "select nspname, nspowner::regrole::text as owner from pg_namespace"
        " where nspname in ('auth', 'realtime', 'storage', 'graphql_public', 'extensions', 'vault')"
    )
    assert {row["owner"] for row in owners} == {"supabase_admin"}
    assert len(owners) == 6


# -- auth helpers --------------------------------------------------------------------------------------------------


async def test_helpers_read_the_claims_of_the_request(owner: Session) -> None:
    user = "00000000-0000-0000-0000-00000000000a"
    async with owner.transaction():
        await become(owner, "authenticated", sub=user, email="a@b.c", app_metadata={"role": "operator"})
        row = await owner.fetchrow(
            "select auth.uid()::text, auth.role(), auth.email(), auth.jwt() #>> '{app_metadata,role}'"
        )
    assert tuple(row or ()) == (user, "authenticated", "a@b.c", "operator")


async def test_helpers_answer_null_without_claims_and_after_they_were_reset(owner: Session) -> None:
    async with owner.transaction():
        await become(owner, "anon")
    row = await owner.fetchrow("select auth.uid(), auth.role(), auth.email(), auth.jwt()")
    assert tuple(row or ()) == (None, None, None, None)


async def test_a_single_claim_setting_comes_first(owner: Session) -> None:
    async with owner.transaction():
        await become(owner, "anon", email="claims@x")
        await owner.execute("select set_config('request.jwt.claim.email', 'single@x', true)")
        assert await owner.fetchval("select auth.email()") == "single@x"


# -- what migrations do to the platform's tables -----------------------------------------------------------------------


async def test_migrations_may_refer_to_users_and_hang_triggers_on_them(owner: Session, admin: Session) -> None:
    await owner.execute(
        """
        create table public.profiles (id uuid primary key references auth.users on delete cascade);
        create function public.add_profile() returns trigger language plpgsql security definer set search_path = '' as
            $$ begin insert into public.profiles values (new.id); return new; end $$;
        create trigger on_user after insert on auth.users for each row execute function public.add_profile();
        """
    )
    await admin.execute(
        "set role supabase_auth_admin; insert into auth.users (id, email) values (gen_random_uuid(), 'a@b.c')"
    )
    assert await owner.fetchval("select count(*) from profiles") == 1
    await admin.execute("delete from auth.users")
    assert await owner.fetchval("select count(*) from profiles") == 0


async def test_an_email_is_taken_once_among_those_who_use_passwords(admin: Session) -> None:
    add = "insert into auth.users (id, email, is_sso_user) values (gen_random_uuid(), 'a@b.c', $1)"
    await admin.execute(add, False)
    await admin.execute(add, True)
    with pytest.raises(asyncpg.UniqueViolationError):
        await admin.execute(add, False)


async def test_migrations_may_write_policies_on_messages_and_objects(owner: Session) -> None:
    await owner.execute(
        """
        create policy listen on realtime.messages for select to authenticated using (realtime.topic() = 'room');
        create policy look on storage.objects for select to anon using (bucket_id = 'open');
        insert into storage.buckets (id, name, public) values ('open', 'open', true);
        """
    )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await owner.execute("create table auth.mine ()")


async def test_the_publication_is_empty_and_the_owner_may_add_to_it(owner: Session) -> None:
    assert await owner.fetchval("select count(*) from pg_publication_tables where pubname = 'supabase_realtime'") == 0
    await owner.execute("create table shown (id int primary key); alter publication supabase_realtime add table shown")
    row = await owner.fetchrow(
        "select pubinsert, pubupdate, pubdelete, pubtruncate, pubowner::regrole::text"
        " from pg_publication where pubname = 'supabase_realtime'"
    )
    assert tuple(row or ()) == (True, True, True, True, "postgres")


# -- realtime ------------------------------------------------------------------------------------------------------


async def test_a_message_is_stored_with_its_id(owner: Session) -> None:
    await owner.execute("""select realtime.send('{"a": 1}', 'news', 'room')""")
    row = await owner.fetchrow("select payload, id::text, event, topic, private, extension from realtime.messages")
    assert row is not None
    assert json.loads(row["payload"]) == {"a": 1, "id": row["id"]}
    assert (row["event"], row["topic"], row["private"], row["extension"]) == ("news", "room", True, "broadcast")


async def test_an_id_of_the_senders_own_stays(owner: Session) -> None:
    await owner.execute("""select realtime.send('{"id": "mine"}', 'news', 'room', false)""")
    assert json.loads(await owner.fetchval("select payload from realtime.messages")) == {"id": "mine"}


async def test_a_message_that_is_refused_never_breaks_the_senders_transaction(owner: Session) -> None:
    warnings: list[str] = []
    owner.add_log_listener(lambda _, message: warnings.append(message.message))
    await owner.execute("create table kept (id int); grant insert on kept to authenticated")
    async with owner.transaction():
        await become(owner, "authenticated")
        await owner.execute("insert into kept values (1)")
        await owner.execute("""select realtime.send('{}', 'news', 'room')""")  # no policy lets it in
    assert await owner.fetchval("select count(*) from kept") == 1
    assert await owner.fetchval("select count(*) from realtime.messages") == 0
    assert "realtime.send to topic room was dropped" in warnings[0]


async def test_binary_messages_are_kept_apart_from_json(owner: Session) -> None:
    await owner.execute("select realtime.send_binary('\\x00ff', 'news', 'room')")
    row = await owner.fetchrow("select payload, binary_payload from realtime.messages")
    assert tuple(row or ()) == (None, b"\x00\xff")


async def test_a_trigger_broadcasts_its_row(owner: Session) -> None:
    await owner.execute(
        """
        create table t (id int primary key, n int);
        create function tell() returns trigger language plpgsql as $$ begin
            perform realtime.broadcast_changes('t:' || coalesce(new.id, old.id), tg_op, tg_op, tg_table_name,
                tg_table_schema, new, old);
            return null;
        end $$;
        create trigger tell after insert or update or delete on t for each row execute function tell();
        insert into t values (1, 1); update t set n = 2; delete from t;
        """
    )
    rows = await owner.fetch("select topic, event, payload - 'id' as body from realtime.messages order by ctid")
    common = {"table": "t", "schema": "public"}
    first, second = {"id": 1, "n": 1}, {"id": 1, "n": 2}
    assert [(row["topic"], row["event"], json.loads(row["body"])) for row in rows] == [
        ("t:1", "INSERT", {**common, "operation": "INSERT", "record": first, "old_record": None}),
        ("t:1", "UPDATE", {**common, "operation": "UPDATE", "record": second, "old_record": first}),
        ("t:1", "DELETE", {**common, "operation": "DELETE", "record": None, "old_record": second}),
    ]


@pytest.mark.parametrize(("operation", "level"), [("TRUNCATE", "ROW"), ("INSERT", "STATEMENT")])
async def test_other_triggers_are_refused(owner: Session, operation: str, level: str) -> None:
    with pytest.raises(asyncpg.RaiseError, match=r"row-level|does not know the operation TRUNCATE"):
        await owner.execute(
            "select realtime.broadcast_changes('t', 'e', $1, 't', 's', null::record, null::record, $2)",
            operation,
            level,
        )


async def test_partitions_move_with_the_days(admin: Session) -> None:
    async def days() -> set[str]:
        rows = await admin.fetch(
            "select relname from pg_inherits join pg_class on pg_class.oid = inhrelid"
            " where inhparent = 'realtime.messages'::regclass"
        )
        return {row["relname"].removeprefix("messages_") for row in rows}

    def named(first: date, last: date) -> set[str]:
        return {(first + timedelta(n)).strftime("%Y_%m_%d") for n in range((last - first).days + 1)}

    today = await admin.fetchval("select current_date")
    assert await days() == named(today - timedelta(1), today + timedelta(3))
    later = today + timedelta(5)
    await admin.execute("select realtime.keep_partitions($1)", later)
    assert await days() == named(later - timedelta(3), later + timedelta(3)) - named(
        today + timedelta(4), today + timedelta(3)
    )


# -- the schema cache's alarm ------------------------------------------------------------------------------------------


async def test_ddl_tells_the_rest_layer_and_temporary_tables_do_not(endpoint: Endpoint, owner: Session) -> None:
    heard: asyncio.Queue[object] = asyncio.Queue()
    async with open_session(endpoint, Login.API) as listener:
        await listener.add_listener("pgrst", lambda *message: heard.put_nowait(message[-1]))
        await owner.execute("create temporary table hidden (id int); drop table hidden")
        await owner.execute("notify pgrst, 'mark'")
        await owner.execute("create table seen (id int)")
        await owner.execute("alter table seen drop column id")
        async with asyncio.timeout(10):
            assert [await heard.get() for _ in range(3)] == ["mark", "reload schema", "reload schema"]


# -- extensions ----------------------------------------------------------------------------------------------------

_CONTRIB = (
    "citext hstore ltree pg_trgm btree_gin btree_gist unaccent tablefunc fuzzystrmatch intarray moddatetime"
    " postgres_fdw dblink"
)


@pytest.mark.parametrize("name", _CONTRIB.split())
async def test_migrations_may_create_the_contrib_extensions(owner: Session, name: str) -> None:
    if not await owner.fetchval("select exists (select from pg_available_extensions where name = $1)", name):
        pytest.skip(f"this PostgreSQL came without {name}")
    if name in ("moddatetime", "postgres_fdw", "dblink") and owner.get_server_version().major < 18:
        pytest.skip(f"before PostgreSQL 18 only a superuser creates {name}")
    await owner.execute(f"create extension if not exists {name} with schema extensions")
    assert await owner.fetchval(
        "select extnamespace::regnamespace::text from pg_extension where extname = $1", name
    ) == ("extensions")
