-- Long-term memory: one row an item, found by full text, bounded for each agent of a stack. Agents learn and forget by their runs;
-- operators read and edit by plain SQL.

create table public.memories (
  id uuid primary key default gen_random_uuid(),
  stack_id uuid not null references public.agent_stacks on delete cascade,
  agent_type text not null check (agent_type ~ '^[a-z][a-z0-9_]{0,39}$'),
  kind text not null default 'fact' check (kind in ('fact', 'learning', 'summary')),
  content text not null check (char_length(btrim(content)) between 1 and 500),
  importance smallint not null default 5 check (importance between 1 and 10),
  run_id uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  expires_at timestamptz,
  words tsvector not null generated always as (to_tsvector('pg_catalog.english', content)) stored
);
comment on table public.memories is 'What the agents of a stack know for longer than a few turns. At most 40 items an agent: the least important, then the oldest, give way.';
comment on column public.memories.run_id is 'The run it was learned in; null for what a person wrote.';
-- A stack has a few dozen items at most, so they are found by their stack, and no tree over all words is needed.
create index memories_stack on public.memories (stack_id, agent_type, importance desc, created_at desc);

alter table public.memories enable row level security;
revoke all on public.memories from public, anon, authenticated;
grant select, insert, update, delete on public.memories to service_role;
grant select, delete on public.memories to authenticated;
grant insert (id, stack_id, agent_type, kind, content, importance, expires_at) on public.memories to authenticated;
grant update (kind, content, importance, expires_at) on public.memories to authenticated;
create policy "operators look" on public.memories for select to authenticated using ((select internal.is_operator()));
create policy "operators teach" on public.memories for insert to authenticated with check ((select internal.can_operate()));
create policy "operators edit" on public.memories for update to authenticated
  using ((select internal.can_operate())) with check ((select internal.can_operate()));
create policy "operators forget" on public.memories for delete to authenticated using ((select internal.can_operate()));

create function internal.memory_changed() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.updated_at := internal.clock();
  if tg_op = 'INSERT' then
    new.created_at := internal.clock();
  end if;
  return new;
end $$;
create trigger memory_changed before insert or update on public.memories
  for each row execute function internal.memory_changed();

create or replace function internal.known_changes() returns text[]
language sql immutable set search_path = '' as $$
  select '{set_idea,set_phase,add_todo,update_todo,cancel_todo,finish_todo,publish_artifact,send_message,answer_visitor,mark_read,remember,advise,clear_inbox,learn,forget}'::text[]
$$;

-- What the runs learned and forgot, each agent its own items only. Rows that a person holds are passed over, never waited for.
create function internal.apply_memories(changes internal.change[], t timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  most constant integer := 40;
begin
  if not exists (select from unnest(changes) c where c.op in ('learn', 'forget')) then
    return;
  end if;
  delete from public.memories e where e.id in (
    select m.id from public.memories m
    where exists (
      select from unnest(changes) c
      where c.stack_id = m.stack_id and c.author = m.agent_type and (
        (c.op = 'forget' and c.body -> 'ids' ? m.id::text) or (c.op in ('learn', 'forget') and m.expires_at <= t)))
    for update skip locked);
  insert into public.memories (id, stack_id, agent_type, kind, content, importance, run_id, expires_at)
    select distinct on (c.stack_id, c.author, lower(btrim(c.body ->> 'content')))
      md5(c.run_id || ' ' || c.n)::uuid, c.stack_id, c.author, coalesce(c.body ->> 'kind', 'fact'), btrim(c.body ->> 'content'),
      coalesce((c.body ->> 'importance')::smallint, 5), c.run_id,
      t + make_interval(days => (c.body ->> 'days')::integer)
    from unnest(changes) c
    where c.op = 'learn' and not exists (   -- what it knows already
      select from public.memories k
      where k.stack_id = c.stack_id and k.agent_type = c.author and lower(k.content) = lower(btrim(c.body ->> 'content')))
    order by c.stack_id, c.author, lower(btrim(c.body ->> 'content')), c.n;
  delete from public.memories e where e.id in (
    select m.id from public.memories m
    join (
      select r.id, row_number() over (partition by r.stack_id, r.agent_type order by r.importance desc, r.created_at desc, r.id) as place
      from public.memories r
      where (r.stack_id, r.agent_type) in (select c.stack_id, c.author from unnest(changes) c where c.op = 'learn')) p on p.id = m.id
    where p.place > most for update of m skip locked);
end $$;

-- The items of a stack that matter most for a text: matching words first, then importance, the asking agent's own before others'.
create function internal.recall(stack uuid, agent text, wanted text, most integer, own boolean, t timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  -- Any of the words will do; between lexemes alone stands " & ".
  query tsquery := replace(plainto_tsquery('pg_catalog.english', left(coalesce(wanted, ''), 4000))::text, ' & ', ' | ')::tsquery;
begin
  return (
    select coalesce(jsonb_agg(to_jsonb(x) - 'score' order by x.score desc, x.created_at desc, x.id), '[]')
    from (
      select m.id, m.agent_type as agent, m.kind, m.content, m.importance, m.run_id, m.created_at,
        case when m.words @@ query then 10 + 60 * ts_rank(m.words, query) else 0 end + m.importance + case when m.agent_type = recall.agent then 1 else 0 end as score
      from public.memories m
      where m.stack_id = stack and (not own or m.agent_type = recall.agent) and coalesce(m.expires_at > t, true)
      order by score desc, m.created_at desc, m.id limit least(greatest(coalesce(most, 12), 0), 60)) x);
end $$;

-- {v, stack_id, agent?, text?, most?, own?} -> {v, now, items: [{id, agent, kind, content, importance, run_id, created_at}]}, best first.
create function public.recall(request jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  t timestamptz := internal.clock();
begin
  if coalesce(request ->> 'stack_id', '') = '' then
    raise exception 'the request lacks "%"', 'stack_id' using errcode = 'SB001';
  end if;
  return jsonb_build_object('v', 2, 'now', t, 'items', internal.recall((request ->> 'stack_id')::uuid, request ->> 'agent', request ->> 'text',
    (request ->> 'most')::integer, coalesce((request ->> 'own')::boolean, false), t));
end $$;

-- As before, with what a run wants to recall: {text, most, own}.
alter type internal.planned_run add attribute recall jsonb;

create or replace function public.begin_runs(request jsonb) returns jsonb
language plpgsql set search_path = '' set plan_cache_mode = force_generic_plan as $$
declare
  t timestamptz := internal.clock();
  asked internal.planned_run[];
  judged internal.verdict[];
  reserved internal.reservation[];
  owned internal.owned_item[];
  begun uuid[];
  kept jsonb;
  strange text;
begin
  perform internal.open_request(request, 'worker', 'runs');
  asked := array(select r from jsonb_populate_recordset(null::internal.planned_run, request -> 'runs') r);
  select r.item ->> 'kind' into strange from unnest(asked) r
    where r.item is not null and coalesce(r.item ->> 'kind', '') not in ('todo', 'visitor', 'message') limit 1;
  if found then
    raise exception 'an item has the kind "%": write todo, visitor or message', strange using errcode = 'SB001';
  end if;

  judged := internal.judge_begins(asked, internal.hold_stacks(array(select distinct r.stack_id from unnest(asked) r)));
  reserved := internal.reserve(array(
    select row(r.run_id, r.stack_id, r.agent, r.priority, r.work_at, r.offers)::internal.spender
    from unnest(asked) r join unnest(judged) j on j.run_id = r.run_id where j.verdict = 'free' and r.offers is not null), t);
  judged := array(
    select row(j.run_id, j.stack_id, j.agent, case when x.refusal is null then j.verdict else 'waiting' end, coalesce(x.refusal, j.reason))::internal.verdict
    from unnest(judged) j left join unnest(reserved) x on x.run_id = j.run_id);
  owned := internal.take_items(array(
    select r from unnest(asked) r join unnest(judged) j on j.run_id = r.run_id where j.verdict = 'free' and r.item is not null), t);
  begun := array(
    select r.run_id from unnest(asked) r join unnest(judged) j on j.run_id = r.run_id
    where j.verdict = 'free' and (r.item is null or exists (select from unnest(owned) o where o.run_id = r.run_id)));

  if cardinality(begun) > 0 then
    insert into public.agent_executions
        (id, stack_id, agent_type, worker_id, fence, priority, reason, work_key, item, attempt, work_at, started_at,
        reserved_provider, reserved_model, reserved_tokens, reserved_usd)
      select r.run_id, r.stack_id, r.agent, (request ->> 'worker')::uuid, r.fence, r.priority, r.reason, r.key, r.item,
        coalesce(o.attempt, 1), r.work_at, t, x.provider, x.model, x.tokens, x.usd
      from unnest(asked) r left join unnest(owned) o on o.run_id = r.run_id left join unnest(reserved) x on x.run_id = r.run_id
      where r.run_id = any (begun);
    update public.stack_status s
      set activity = s.activity || b.activity, wait_reason = null, wait_until = null, updated_at = t
      from (
        select r.stack_id, jsonb_object_agg(r.agent, jsonb_build_object('reason', r.reason, 'since', t)) as activity
        from unnest(asked) r where r.run_id = any (begun) group by r.stack_id) b
      where s.stack_id = b.stack_id;
  end if;

  kept := internal.kept_replies(asked);
  return jsonb_build_object('v', 2, 'now', t, 'runs', (
    select coalesce(jsonb_agg(jsonb_build_object(
      'run_id', r.run_id, 'verdict', v.verdict, 'attempt', coalesce(o.attempt, e.attempt, 1),
      'provider', e.reserved_provider, 'usd', e.reserved_usd, 'wait_ms', ceil(x.wait_s * 1000),
      'reason', case v.verdict when 'taken' then 'the ' || (r.item ->> 'kind') || ' is no longer waiting' else j.reason end,
      'artifact', case when v.verdict = 'begun' and r.needs_artifact then (
        select b.content from public.artifacts f join public.artifact_bodies b on b.artifact_id = f.id
        where f.stack_id = r.stack_id order by f.version desc limit 1) end,
      'kept', case when v.verdict = 'begun' then kept -> r.run_id::text end,
      'recalled', case when v.verdict = 'begun' and jsonb_typeof(r.recall) = 'object' then internal.recall(
        r.stack_id, r.agent, r.recall ->> 'text', (r.recall ->> 'most')::integer, coalesce((r.recall ->> 'own')::boolean, false), t) end)), '[]')
    from unnest(asked) r
    join unnest(judged) j on j.run_id = r.run_id
    left join unnest(owned) o on o.run_id = r.run_id
    left join unnest(reserved) x on x.run_id = r.run_id
    left join public.agent_executions e on e.id = r.run_id
    cross join lateral (select case
      when j.verdict <> 'free' then j.verdict when r.run_id = any (begun) then 'begun' else 'taken' end as verdict) v));
end $$;

-- As before, with what runs learn.
create or replace function internal.land_runs(runs internal.finished_run[], changes internal.change[], t timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  kinds text[];
begin
  perform internal.apply_changes(changes, t);
  perform internal.write_states(runs, changes, t);
  perform internal.apply_memories(changes, t);
  with ended as (
    update public.agent_executions e set status = r.status, error = r.error, completed_at = t, reply_of = r.reply_of
      from unnest(runs) r where e.id = r.run_id
      returning e.item ->> 'kind' as kind
  ) select array_agg(distinct n.kind) into kinds from ended n where n.kind is not null;
  if kinds is not null then
    perform internal.return_items(runs, kinds, t);
  end if;
  insert into public.agent_traces (stack_id, agent_type, thought, action, result, simulated, run_id, created_at)
    select r.stack_id, r.agent, left(coalesce(r.trace ->> 'thought', ''), 1000), r.trace ->> 'action', coalesce(r.trace -> 'result', '{}'),
      coalesce(r.simulated, false), r.run_id, clock_timestamp()
    from unnest(runs) r where jsonb_typeof(r.trace) = 'object';
end $$;

revoke all on function internal.apply_memories(internal.change[], timestamptz), internal.memory_changed(),
  internal.recall(uuid, text, text, integer, boolean, timestamptz), public.recall(jsonb) from public, anon, authenticated;
grant execute on function internal.apply_memories(internal.change[], timestamptz),
  internal.recall(uuid, text, text, integer, boolean, timestamptz), public.recall(jsonb) to service_role;
grant execute on function internal.memory_changed() to authenticated, service_role;
