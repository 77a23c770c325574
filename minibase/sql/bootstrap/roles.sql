-- Roles belong to the server, not to one database, so this file may meet them already there: it can run any number of times.
-- Passwords are set by the caller for those that sign in; a role without one cannot (SCRAM on every connection).

do $$
declare
    wanted text;
begin
    foreach wanted in array array[
        'anon', 'authenticated', 'service_role', 'authenticator', 'postgres', 'dashboard_user', 'pgbouncer',
        'supabase_auth_admin', 'supabase_storage_admin', 'supabase_realtime_admin', 'supabase_functions_admin',
        'supabase_replication_admin', 'supabase_read_only_user', 'supabase_etl_admin'
    ] loop
        if to_regrole(wanted) is null then
            execute format('create role %I', wanted);
        end if;
    end loop;
end
$$;

-- What a request may become.
alter role anon nologin inherit;
alter role authenticated nologin inherit;
alter role service_role nologin inherit bypassrls;

-- Who signs in for requests: powerless until it becomes one of the three.
alter role authenticator login noinherit;
grant anon, authenticated, service_role to authenticator;

-- Who runs migrations: everything an owner needs, but no superuser, so that what hosted Supabase refuses fails here too.
alter role postgres login inherit createdb createrole replication bypassrls;
grant anon, authenticated, service_role, pg_monitor, pg_read_all_data, pg_signal_backend to postgres;

alter role supabase_auth_admin login noinherit createrole;
alter role supabase_storage_admin login noinherit createrole;
alter role supabase_realtime_admin nologin noinherit;
alter role supabase_functions_admin login noinherit createrole;
alter role supabase_replication_admin login replication;
alter role supabase_etl_admin login replication;
alter role supabase_read_only_user login bypassrls;
grant pg_read_all_data to supabase_read_only_user, supabase_etl_admin;
alter role dashboard_user nologin createdb createrole replication;
alter role pgbouncer login;

-- Policies may only be made by a table's owner. Hosted Supabase lifts that for these tables with an extension in C;
-- membership is how a plain Postgres lets migrations write policies on realtime.messages and storage.objects.
grant supabase_realtime_admin, supabase_storage_admin to postgres;

alter role supabase_admin set search_path = "$user", public, auth, extensions;
alter role postgres set search_path = "$user", public, extensions;
alter role supabase_auth_admin set search_path = auth;
alter role supabase_auth_admin set idle_in_transaction_session_timeout = '60s';
alter role supabase_storage_admin set search_path = storage;

-- service_role has none of its own and so keeps the authenticator's.
alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';
