-- Tell the REST layer when tables, functions or rights change, as hosted Supabase does: NOTIFY pgrst, 'reload schema'.

create function extensions.pgrst_ddl_watch() returns event_trigger
language plpgsql set search_path = ''
as $$
begin
    -- Temporary objects are nobody's API.
    if exists (
        select from pg_catalog.pg_event_trigger_ddl_commands()
        where schema_name is distinct from 'pg_temp'
          and command_tag in (
              'CREATE SCHEMA', 'ALTER SCHEMA', 'CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE',
              'CREATE FOREIGN TABLE', 'ALTER FOREIGN TABLE', 'CREATE VIEW', 'ALTER VIEW', 'CREATE MATERIALIZED VIEW',
              'ALTER MATERIALIZED VIEW', 'CREATE FUNCTION', 'ALTER FUNCTION', 'CREATE PROCEDURE', 'ALTER PROCEDURE',
              'CREATE TRIGGER', 'CREATE TYPE', 'ALTER TYPE', 'CREATE DOMAIN', 'ALTER DOMAIN', 'CREATE RULE',
              'CREATE POLICY', 'ALTER POLICY', 'CREATE EXTENSION', 'ALTER EXTENSION', 'GRANT', 'REVOKE', 'COMMENT'
          )
    ) then
        notify pgrst, 'reload schema';
    end if;
end
$$;

create function extensions.pgrst_drop_watch() returns event_trigger
language plpgsql set search_path = ''
as $$
begin
    if exists (
        select from pg_catalog.pg_event_trigger_dropped_objects()
        where not is_temporary
          and object_type in (
              'schema', 'table', 'foreign table', 'view', 'materialized view', 'table column', 'function', 'procedure',
              'trigger', 'type', 'domain', 'rule', 'policy', 'extension', 'table constraint'
          )
    ) then
        notify pgrst, 'reload schema';
    end if;
end
$$;

create event trigger pgrst_ddl_watch on ddl_command_end execute function extensions.pgrst_ddl_watch();
create event trigger pgrst_drop_watch on sql_drop execute function extensions.pgrst_drop_watch();
