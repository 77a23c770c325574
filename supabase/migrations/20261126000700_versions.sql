-- Versions of a page are only ever added: by a run, which says what it built upon, or by an operator who puts an older one back.

alter table public.artifact_bodies add column diff text check (char_length(diff) <= 60000);
comment on column public.artifact_bodies.diff is 'What this version changed of the one before, as a unified diff; null for a first or restored one.';
alter table public.artifacts add column restores integer check (restores > 0);
comment on column public.artifacts.restores is 'The version that an operator put back as this one.';

-- The words a change may begin with; a later migration may know more.
create function internal.known_changes() returns text[]
language sql immutable set search_path = '' as $$
  select '{set_idea,set_phase,add_todo,update_todo,cancel_todo,finish_todo,publish_artifact,send_message,answer_visitor,mark_read,remember,advise,clear_inbox}'::text[]
$$;

-- New versions of the stacks the caller holds. A change that names its `base` lands only on that version: whoever built upon an older
-- one has not seen what came between, a page that an operator put back for instance.
create function internal.publish_artifacts(changes internal.change[], t timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  late record;
begin
  select c.body ->> 'base' as base, n.version into late
    from unnest(changes) c
    cross join lateral (select coalesce(max(f.version), 0) as version from public.artifacts f where f.stack_id = c.stack_id) n
    where c.op = 'publish_artifact' and (c.body ->> 'base')::integer <> n.version limit 1;
  if found then
    raise exception 'the page was built upon version %, and % is the newest by now', late.base, late.version using errcode = 'SB001';
  end if;
  with fresh as (
    select md5(c.run_id || ' ' || c.n)::uuid as id, c.stack_id, c.author, c.body ->> 'content' as content, d.id as todo_id, c.run_id,
      c.simulated, nullif(c.body ->> 'diff', '') as diff,
      jsonb_build_object('description', coalesce(c.body ->> 'description', ''))
        || case when coalesce(nullif(c.body -> 'answers', 'null'), '[]') = '[]' then '{}' else jsonb_build_object('answers', c.body -> 'answers') end
        as metadata,
      coalesce((select max(f.version) from public.artifacts f where f.stack_id = c.stack_id), 0)
        + row_number() over (partition by c.stack_id order by c.n) as version
    from unnest(changes) c
    left join public.todos d on d.id = (c.body ->> 'todo_id')::uuid and d.stack_id = c.stack_id
    where c.op = 'publish_artifact'
  ), published as (
    insert into public.artifacts (id, stack_id, version, created_by, size_bytes, metadata, simulated, todo_id, run_id, created_at)
    select n.id, n.stack_id, n.version, n.author, octet_length(n.content), n.metadata, n.simulated, n.todo_id, n.run_id, t
    from fresh n
    returning id
  )
  insert into public.artifact_bodies (artifact_id, content, diff)
    select p.id, n.content, case when n.version > 1 then n.diff end from published p join fresh n on n.id = p.id;
end $$;

-- As before, but for the versions.
create or replace function internal.apply_changes(changes internal.change[], t timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  ops text[] := array(select distinct coalesce(c.op, '') from unnest(changes) c);
begin
  if not ops <@ internal.known_changes() then
    raise exception 'unknown change among %', ops using errcode = 'SB001';
  end if;
  if 'set_idea' = any (ops) then
    insert into public.project_ideas as i (stack_id, title, description, created_by, created_at)
      select distinct on (c.stack_id) c.stack_id, c.body ->> 'title', coalesce(c.body ->> 'description', ''), c.author, t
      from unnest(changes) c where c.op = 'set_idea' order by c.stack_id, c.n desc
      on conflict (stack_id) do update set title = excluded.title, description = excluded.description;
  end if;
  if 'update_todo' = any (ops) then
    update public.todos d
      set content = coalesce(c.body ->> 'content', d.content), priority = coalesce((c.body ->> 'priority')::smallint, d.priority),
        updated_at = t
      from unnest(changes) c
      where c.op = 'update_todo' and d.id = (c.body ->> 'id')::uuid and d.stack_id = c.stack_id and d.status in ('pending', 'failed');
  end if;
  if 'cancel_todo' = any (ops) then
    update public.todos d set status = 'cancelled', updated_at = t from unnest(changes) c
      where c.op = 'cancel_todo' and d.id = (c.body ->> 'id')::uuid and d.stack_id = c.stack_id and d.status in ('pending', 'failed');
  end if;
  if 'finish_todo' = any (ops) then
    update public.todos d set status = 'completed', completed_at = t, run_id = null, last_error = null, updated_at = t
      from unnest(changes) c
      where c.op = 'finish_todo' and d.id = (c.body ->> 'id')::uuid and d.stack_id = c.stack_id and d.run_id = c.run_id;
  end if;
  if 'add_todo' = any (ops) then
    -- Microseconds apart, so that the order of the planner's list survives as the order of creation.
    insert into public.todos (id, stack_id, content, priority, assigned_to, assigned_by, created_at, updated_at)
      select md5(c.run_id || ' ' || c.n)::uuid, c.stack_id, c.body ->> 'content', coalesce((c.body ->> 'priority')::smallint, 5),
        coalesce(c.body ->> 'assigned_to', 'builder'), c.author, t + c.n * interval '1 microsecond', t
      from unnest(changes) c where c.op = 'add_todo' order by c.stack_id, c.n;
  end if;
  if 'publish_artifact' = any (ops) then
    perform internal.publish_artifacts(changes, t);
  end if;
  if 'send_message' = any (ops) then
    insert into public.messages (id, from_stack_id, to_stack_id, from_agent_type, content, message_type, hop, simulated, run_id, created_at)
      select md5(c.run_id || ' ' || c.n)::uuid, c.stack_id, x.to_stack_id, c.author, c.body ->> 'content', case when x.to_stack_id is null then 'broadcast' else 'direct' end,
        coalesce((c.body ->> 'hop')::smallint, 0), c.simulated, c.run_id, t
      from unnest(changes) c cross join lateral (select (c.body ->> 'to_stack_id')::uuid as to_stack_id) x
      where c.op = 'send_message' and (x.to_stack_id is null or exists (select from public.agent_stacks a where a.id = x.to_stack_id));
    update public.stack_schedule s set due_at = least(s.due_at, t), wakes = s.wakes + 1
      where s.stack_id in (select (c.body ->> 'to_stack_id')::uuid from unnest(changes) c where c.op = 'send_message');
  end if;
  if 'answer_visitor' = any (ops) then
    -- Exactly one answer: only the run that owns the question may give it.
    with answers as (
      select distinct on (u.id) md5(c.run_id || ' ' || c.n)::uuid as id, c.stack_id, c.author, c.body ->> 'content' as content, u.id as message_id,
        c.simulated, c.run_id
      from unnest(changes) c
      join public.user_messages u on u.id = (c.body ->> 'message_id')::uuid and u.stack_id = c.stack_id
        and u.run_id = c.run_id and u.status = 'claimed'
      where c.op = 'answer_visitor'
    ), written as (
      insert into public.messages (id, from_stack_id, from_agent_type, content, message_type, simulated, run_id, created_at)
      select a.id, a.stack_id, a.author, a.content, 'visitor', a.simulated, a.run_id, t from answers a
      returning id
    )
    update public.user_messages u set status = 'answered', response_id = w.id, answered_at = t, run_id = null, last_error = null
      from written w join answers a on a.id = w.id where u.id = a.message_id;
  end if;
  if 'mark_read' = any (ops) then
    insert into public.message_reads as m (message_id, stack_id, status, read_at)
      select distinct g.id, c.stack_id, 'read', t
      from unnest(changes) c
      cross join lateral jsonb_array_elements_text(c.body -> 'message_ids') i(id)
      join public.messages g on g.id = i.id::uuid
      where c.op = 'mark_read'
      on conflict (message_id, stack_id) do update set status = 'read', read_at = excluded.read_at, run_id = null, last_error = null;
  end if;
  if 'advise' = any (ops) then
    insert into public.agent_states as g (stack_id, agent_type, inbox)
      select c.stack_id, c.body ->> 'agent', jsonb_object_agg(i.key, i.value)
      from unnest(changes) c cross join lateral jsonb_each(c.body -> 'items') i
      where c.op = 'advise' group by 1, 2
      on conflict (stack_id, agent_type) do update set inbox = g.inbox || excluded.inbox, updated_at = t;
  end if;
  if 'set_phase' = any (ops) then
    update public.agent_stacks a
      set phase = c.phase, execution_state = case when c.phase = 'complete' then 'idle' else a.execution_state end
      from (
        select distinct on (x.stack_id) x.stack_id, x.body ->> 'phase' as phase from unnest(changes) x
        where x.op = 'set_phase' order by x.stack_id, x.n desc) c
      where a.id = c.stack_id and a.phase is distinct from c.phase;
  end if;
end $$;

-- An operator puts a version back by an ordinary INSERT of its number: `insert into artifacts (stack_id, restores) values (..., 3)`.
create function internal.artifact_before() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  was public.artifacts;
begin
  if new.restores is null then
    if not internal.by_machine() and coalesce(auth.role(), '') = 'authenticated' then
      raise exception 'an artifact is inserted by naming a version: set restores to the one to put back' using errcode = '22023';
    end if;
    return new;
  end if;
  perform internal.wake(new.stack_id);   -- holds the stack, so that no run can take the version's number
  select f.* into was from public.artifacts f where f.stack_id = new.stack_id and f.version = new.restores;
  if not found then
    raise exception 'the stack has no version %: write the number of one of its artifacts', new.restores using errcode = '22023';
  end if;
  new.version := (select max(f.version) + 1 from public.artifacts f where f.stack_id = new.stack_id);
  if new.version = was.version + 1 then
    raise exception 'version % is the newest: there is nothing to put back', was.version using errcode = '22023';
  end if;
  new.type := was.type;
  new.size_bytes := was.size_bytes;
  new.simulated := was.simulated;
  new.todo_id := was.todo_id;
  new.created_by := 'operator';
  new.created_at := internal.clock();
  new.metadata := jsonb_build_object('description', 'Version ' || was.version || ' again: ' || coalesce(was.metadata ->> 'description', ''));
  return new;
end $$;
create trigger artifact_before before insert on public.artifacts
  for each row execute function internal.artifact_before();

create function internal.artifact_restored() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.artifact_bodies (artifact_id, content)
    select new.id, b.content from public.artifacts f join public.artifact_bodies b on b.artifact_id = f.id
    where f.stack_id = new.stack_id and f.version = new.restores;
  return null;
end $$;
create trigger artifact_restored after insert on public.artifacts
  for each row when (new.restores is not null) execute function internal.artifact_restored();

grant insert (id, stack_id, restores) on public.artifacts to authenticated;
create policy "operators put back" on public.artifacts for insert to authenticated with check ((select internal.can_operate()));

revoke all on function internal.known_changes(), internal.publish_artifacts(internal.change[], timestamptz), internal.artifact_before(),
  internal.artifact_restored() from public, anon, authenticated;
grant execute on function internal.known_changes(), internal.publish_artifacts(internal.change[], timestamptz) to service_role;
