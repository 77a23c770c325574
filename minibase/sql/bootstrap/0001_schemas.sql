-- Schemas and who may use them. The platform's belong to supabase_admin: the CLI's remote reset drops any it does not own.

create schema if not exists extensions;
create schema if not exists auth;
create schema if not exists realtime;
create schema if not exists storage;
create schema if not exists graphql_public;
create schema if not exists vault;
create schema if not exists supabase_functions;

grant usage on schema public to anon, authenticated, service_role, postgres;
grant create on schema public to postgres;

grant usage on schema extensions to anon, authenticated, service_role;
grant all on schema extensions to postgres, dashboard_user with grant option;
alter default privileges for role supabase_admin in schema extensions grant all on tables to postgres with grant option;
alter default privileges for role supabase_admin in schema extensions grant all on sequences to postgres with grant option;
alter default privileges for role supabase_admin in schema extensions grant all on functions to postgres with grant option;

grant usage on schema auth to anon, authenticated, service_role, postgres, dashboard_user, supabase_auth_admin;
alter default privileges for role supabase_auth_admin in schema auth grant all on tables to postgres, dashboard_user;
alter default privileges for role supabase_auth_admin in schema auth grant all on sequences to postgres, dashboard_user;
alter default privileges for role supabase_auth_admin in schema auth grant all on functions to postgres, dashboard_user;

grant usage on schema realtime to anon, authenticated, service_role, postgres, dashboard_user;
grant all on schema realtime to supabase_realtime_admin;
alter default privileges for role supabase_admin in schema realtime grant all on tables to postgres, dashboard_user;
alter default privileges for role supabase_admin in schema realtime grant all on sequences to postgres, dashboard_user;
alter default privileges for role supabase_admin in schema realtime grant all on functions to postgres, dashboard_user;

grant usage on schema storage to anon, authenticated, service_role, postgres, dashboard_user;
grant all on schema storage to supabase_storage_admin;
grant usage on schema graphql_public to anon, authenticated, service_role, postgres;
grant usage on schema supabase_functions to anon, authenticated, service_role, postgres;

-- Those of the usual extensions that these binaries have; the others are simply not there.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['pgcrypto', 'uuid-ossp', 'pg_stat_statements'] loop
        if exists (select from pg_available_extensions where name = wanted) then
            execute format('create extension if not exists %I with schema extensions', wanted);
        end if;
    end loop;
end
$$;
