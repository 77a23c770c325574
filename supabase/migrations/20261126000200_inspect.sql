-- What `stackbeat doctor` asks and what REST cannot answer: the catalogue, as it concerns us, and a change to listen for.
-- For the service key alone. Nothing here is used by the daemon.

-- The tables and functions of `public` as the API's roles meet them. Privileges on a whole table are a word, on some of its columns
-- the word with their names. Security definer: the migrations' own record is closed to the API's roles.
create function public.inspect(request jsonb default '{}') returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  applied jsonb;
begin
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    execute 'select jsonb_agg(version order by version) from supabase_migrations.schema_migrations' into applied;
  end if;
  return jsonb_build_object(
    'now', internal.clock(),
    'server', current_setting('server_version'),
    'migrations', applied,
    'tables', (
      select jsonb_object_agg(c.relname, jsonb_build_object(
        'published', exists (
          select from pg_catalog.pg_publication_tables p
          where p.pubname = 'supabase_realtime' and p.schemaname = 'public' and p.tablename = c.relname),
        'identity', case c.relreplident when 'd' then 'default' when 'f' then 'full' when 'i' then 'index' else 'nothing' end,
        'rls', c.relrowsecurity,
        'grants', (
          select jsonb_object_agg(r.role, (
            select coalesce(jsonb_agg(case
                when pg_catalog.has_table_privilege(r.role, c.oid, w.word) then w.word
                else w.word || '(' || (
                  select string_agg(a.attname, ', ' order by a.attname) from pg_catalog.pg_attribute a
                  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                    and pg_catalog.has_column_privilege(r.role, c.oid, a.attnum, w.word)) || ')' end order by w.word), '[]')
            from unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) as w(word)
            where pg_catalog.has_table_privilege(r.role, c.oid, w.word)
              or w.word in ('select', 'insert', 'update', 'references') and pg_catalog.has_any_column_privilege(r.role, c.oid, w.word)))
          from unnest(array['anon', 'authenticated', 'service_role']) as r(role)),
        'policies', (
          select coalesce(jsonb_object_agg(p.policyname, p.cmd || ' ' || array_to_string(p.roles, ', ')), '{}')
          from pg_catalog.pg_policies p where p.schemaname = 'public' and p.tablename = c.relname)))
      from pg_catalog.pg_class c
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')),
    'functions', (
      select jsonb_object_agg(f.oid::regprocedure::text, (
        select coalesce(jsonb_agg(r.role order by r.role), '[]') from unnest(array['anon', 'authenticated', 'service_role']) as r(role)
        where pg_catalog.has_function_privilege(r.role, f.oid, 'execute')))
      from pg_catalog.pg_proc f where f.pronamespace = 'public'::regnamespace));
end $$;
comment on function public.inspect(jsonb) is 'How the API''s roles meet what is in public; for `stackbeat doctor`.';

-- A row that is there and gone within one transaction: subscribers hear of it, nobody ever reads it.
create function public.blink(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
begin
  insert into public.messages (id, content, message_type) values ((request ->> 'id')::uuid, 'stackbeat doctor was here', 'broadcast');
  delete from public.messages where id = (request ->> 'id')::uuid;
  return jsonb_build_object('id', request ->> 'id');
end $$;
comment on function public.blink(jsonb) is 'Inserts and deletes a message in one transaction; for `stackbeat doctor`, which listens for it.';

revoke all on function public.inspect(jsonb), public.blink(jsonb) from public, anon, authenticated;
grant execute on function public.inspect(jsonb), public.blink(jsonb) to service_role;
