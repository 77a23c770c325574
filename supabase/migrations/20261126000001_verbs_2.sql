-- Version 2 of the verbs: claim, begin, commit and heartbeat, set by set. It replaces those of 20261122000004; prune stays.
--
-- A request is parsed once, into arrays of the types below, and every step after that takes and gives such arrays, so that a
-- batch of 50 runs costs a handful of statements, whatever is in it. What all stacks of a claim see alike is read once.
--
-- Their plans do not depend on what is in a request, so they are made once a connection, not anew for the first five calls of each
-- statement to see whether that helps: claim, begin and commit set plan_cache_mode for all they call.
--
-- Never waiting, as before: rows that people may hold are locked with `skip locked`, and what could not be had is `busy` or
-- `taken`. The order of locks is agent_stacks, stack_schedule, then the rest.

drop function public.claim_due_stacks(jsonb), public.begin_runs(jsonb), public.commit_runs(jsonb);
drop function internal.snapshots(uuid[], integer), internal.lock_stacks(uuid[]), internal.apply_changes(jsonb, timestamptz),
  internal.next_wake(), internal.return_items(jsonb, timestamptz), internal.end_runs(jsonb, timestamptz), internal.stacks_in_other_hands(jsonb, uuid[]);

-- A run's question and answer, beyond its end. `ask_hash` says which question the model was asked; `reply_of` names the ledger's
-- row whose reply a run used without asking again.
alter table public.llm_calls add column ask_hash text, add column reply text;
update public.llm_calls c set reply = r.body from public.llm_replies r where r.call_id = c.id;
drop table public.llm_replies;
alter table public.agent_executions add column reply_of uuid;
comment on column public.llm_calls.reply is 'What the model answered, raw. Large ones lie beside the table, as Postgres keeps long values.';
comment on column public.llm_calls.ask_hash is 'SHA-256 of what the model was asked; equal asks have equal hashes.';
comment on column public.agent_executions.reply_of is 'The ledger''s row whose stored reply this run used instead of a new call.';
-- Runs that ended without their effects although a reply may have come: few, and looked up at every begin.
create index agent_executions_unlanded on public.agent_executions (stack_id, agent_type, work_key)
  where status in ('abandoned', 'stale', 'stopped');
create index agent_executions_reply on public.agent_executions (reply_of) where reply_of is not null;

-- What every run writes is indexed as little as its readers allow: rows that come in the order of time need no tree for it, and of
-- the schedule, one row a stack, a scan is cheaper than keeping a tree. Rows rewritten in place find room on their page.
drop index public.agent_executions_done, public.llm_calls_time, public.agent_traces_time, public.stack_schedule_due, public.messages_to;
create index agent_executions_done on public.agent_executions using brin (completed_at);
create index llm_calls_time on public.llm_calls using brin (created_at);
create index agent_traces_time on public.agent_traces using brin (created_at);
create index messages_to on public.messages (to_stack_id, created_at desc) where to_stack_id is not null;   -- few: most are to all
alter table public.stack_schedule set (fillfactor = 50);
alter table public.stack_status set (fillfactor = 50);
alter table public.agent_states set (fillfactor = 50);

-- The machine keeps the rules itself: its rows pass the triggers of people's writes without a call.
drop trigger todo_changed on public.todos;
create trigger todo_changed before insert or update on public.todos
  for each row when (coalesce(current_setting('stackbeat.machine', true), '') <> 'on') execute function internal.todo_changed();
comment on table public.llm_calls is 'The ledger: every attempt at a model, paid or not. A run whose worker was lost has a row with the run''s id, no provider, and an error that begins with "lost": whether it was paid is not known.';

create type internal.held_stack as (id uuid, state text, fence bigint, wakes bigint, by_hand boolean, leased boolean);
create type internal.planned_run as (run_id uuid, stack_id uuid, fence bigint, agent text, priority smallint, reason text, key text,
  work_at timestamptz, item jsonb, needs_artifact boolean, offers jsonb);
create type internal.finished_run as (run_id uuid, stack_id uuid, fence bigint, agent text, status text, error text, calls jsonb,
  changes jsonb, trace jsonb, context jsonb, simulated boolean, retry_ms double precision, reply_of uuid);
create type internal.change as (run_id uuid, stack_id uuid, author text, simulated boolean, n integer, op text, body jsonb);
create type internal.settlement as (stack_id uuid, fence bigint, wakes bigint, due_in_ms double precision, wait_reason text,
  wait_ms double precision);
create type internal.verdict as (run_id uuid, stack_id uuid, agent text, verdict text, reason text);
create type internal.owned_item as (run_id uuid, attempt smallint);

create or replace function internal.open_request(request jsonb, variadic required text[]) returns void
language plpgsql set search_path = '' as $$
declare
  field text;
begin
  if request -> 'v' is distinct from '2'::jsonb then
    raise exception 'this database speaks version 2 of the verbs, the caller sent version %: run the newer migrations or the matching daemon',
      coalesce(request ->> 'v', 'none') using errcode = 'SB002';
  end if;
  foreach field in array required loop
    if coalesce(request -> field, 'null'::jsonb) = 'null'::jsonb then
      raise exception 'the request lacks "%"', field using errcode = 'SB001';
    end if;
  end loop;
  perform set_config('stackbeat.machine', 'on', true);
end $$;

create or replace function public.verbs_version(request jsonb default '{}') returns jsonb
language sql stable set search_path = '' as $$ select jsonb_build_object('v', 2, 'version', 2) $$;

-- Locks what it can get of these stacks, row and schedule, in id order.
create function internal.hold_stacks(stacks uuid[]) returns internal.held_stack[]
language plpgsql set search_path = '' as $$
begin
  return (
    select coalesce(array_agg(row(l.id, l.state, l.fence, l.wakes, l.by_hand, l.leased)::internal.held_stack), '{}')
    from (
      select a.id, a.execution_state as state, s.fence, s.wakes, s.by_hand, s.lease_owner is not null as leased
      from public.agent_stacks a join public.stack_schedule s on s.stack_id = a.id
      where a.id = any (stacks)
      order by a.id
      for no key update of a, s skip locked
    ) l);
end $$;

-- Gives back what unfinished runs own. 'abandoned' (their worker died) costs the item an attempt, and leaves a row in the ledger,
-- because the model may have been paid; others do neither.
create or replace function internal.release_work(stacks uuid[], outcome text) returns void
language plpgsql set search_path = '' as $$
declare
  refund integer := case when outcome = 'abandoned' then 0 else 1 end;
  most constant integer := 3;
  why constant text := 'the worker was lost during the last attempt; set the status back to retry';
  machine text := coalesce(current_setting('stackbeat.machine', true), '');
  unreported uuid[];
begin
  perform set_config('stackbeat.machine', 'on', true);   -- a person's stop releases what only the machine may set
  with ended as (
    update public.agent_executions set status = outcome, completed_at = internal.clock()
    where stack_id = any (stacks) and status = 'running'
    returning id, stack_id, agent_type, reserved_usd
  ), lost as (
    insert into public.llm_calls (id, run_id, stack_id, agent_type, attempt, provider, model, cost_usd, error, created_at)
      select e.id, e.id, e.stack_id, e.agent_type, 1, 'unknown', 'unknown', coalesce(e.reserved_usd, 0),
        'lost with its worker: perhaps asked, perhaps paid', internal.clock()
      from ended e where outcome = 'abandoned' and not exists (select from public.llm_calls c where c.run_id = e.id)
      on conflict (id) do nothing
      returning id
  ) select array_agg(l.id) into unreported from lost l;
  perform internal.count_spent(unreported, internal.clock());
  update public.todos set run_id = null, attempts = greatest(attempts - refund, 0), updated_at = internal.clock(),
      status = case when attempts - refund >= most then 'failed' else 'pending' end,
      last_error = case when attempts - refund >= most then why else last_error end
    where stack_id = any (stacks) and status = 'in_progress';
  update public.user_messages set run_id = null, attempts = greatest(attempts - refund, 0),
      status = case when attempts - refund >= most then 'failed' else 'waiting' end,
      last_error = case when attempts - refund >= most then why else last_error end
    where stack_id = any (stacks) and status = 'claimed';
  update public.message_reads set run_id = null, attempts = greatest(attempts - refund, 0),
      status = case when attempts - refund >= most then 'failed' else 'waiting' end,
      last_error = case when attempts - refund >= most then why else last_error end
    where stack_id = any (stacks) and status = 'claimed';
  update public.stack_status set activity = '{}', updated_at = internal.clock()
    where stack_id = any (stacks) and activity <> '{}';
  perform set_config('stackbeat.machine', machine, true);
end $$;

-- claim_due_stacks ------------------------------------------------------------------------------------------------------

-- When the next running stack is due, never before t: null where none is. A late wake makes its stack due at once.
create function internal.next_wake(t timestamptz) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
  return (
    select greatest(min(x.at), t) from (
      select greatest(s.due_at, s.lease_expires_at) as at
      from public.agent_stacks a join public.stack_schedule s on s.stack_id = a.id
      where a.execution_state = 'running' and s.due_at is not null
      union all
      select coalesce(s.lease_expires_at, t)
      from internal.late_wakes w
      join public.agent_stacks a on a.id = w.stack_id
      join public.stack_schedule s on s.stack_id = a.id
      where a.execution_state = 'running') x
    having min(x.at) is not null);
end $$;

-- A claim's answer: what the agents of these stacks see, in one statement: what all of them see alike (the newest broadcasts, oldest first; some of the
-- other stacks), and each one's own. Bounded lists; artifact bodies come with begin_runs, for whom they concern. `heard` counts off,
-- by their place, the broadcasts that a stack has read; the newest 50 after it was made are among the newest 50 of all.
-- json, not jsonb: this is written once and read elsewhere, and jsonb would be built anew at every level of nesting.
create function internal.sight(stacks uuid[], cadence_ms integer, t timestamptz) returns json
language plpgsql stable set search_path = '' as $$
begin
  return (
    with broadcast as materialized (
      select (row_number() over (order by m.created_at, m.id) - 1)::integer as place, m.*
      from (
        select b.id, b.from_stack_id, b.content, b.hop, b.created_at from public.messages b
        where b.message_type = 'broadcast' order by b.created_at desc, b.id desc limit 50) m
    ), heard as (
      select r.stack_id, array_agg(b.place order by b.place) as places
      from broadcast b join public.message_reads r on r.message_id = b.id
      where r.stack_id = any (stacks) group by r.stack_id
    )
    select json_build_object('v', 2, 'now', t, 'next_wake_at', internal.next_wake(t),
      'surroundings', json_build_object(
        'broadcasts', (
          select coalesce(json_agg(x order by x.created_at, x.id), '[]') from (
            select b.id, b.from_stack_id, f.participant_name as from_name, b.content, 'broadcast' as message_type, b.hop, b.created_at
            from broadcast b left join public.agent_stacks f on f.id = b.from_stack_id) x),
        'neighbours', (
          select coalesce(json_agg(n), '[]') from (
            select o.id, o.participant_name as name from public.agent_stacks o order by o.id limit 21) n)),
      'stacks', (
        select json_agg(json_build_object(
          'stack_id', s.stack_id, 'fence', s.fence, 'wakes', s.wakes, 'due_at', s.due_at, 'lease_expires_at', s.lease_expires_at,
          'overruns', s.overruns, 'snapshot', own.snapshot) order by s.due_at, s.stack_id)
        from public.agent_stacks a
        join public.stack_schedule s on s.stack_id = a.id
        left join heard on heard.stack_id = a.id
        cross join lateral (
          select json_build_object(
            'now', t,
            'stack', json_build_object(
              'id', a.id, 'name', a.participant_name, 'phase', a.phase, 'execution_state', a.execution_state, 'team_type', a.team_type,
              'priority', a.priority, 'cadence_ms', coalesce(a.cadence_s * 1000, cadence_ms), 'created_at', a.created_at,
              'started_at', a.started_at, 'total_cycles', s.total_cycles),
            'idea', (
              select json_build_object('id', i.id, 'title', i.title, 'description', i.description, 'status', i.status, 'created_by', i.created_by)
              from public.project_ideas i where i.stack_id = a.id),
            'agents', (
              select coalesce(json_object_agg(g.agent_type, json_build_object(
                'memory', g.memory, 'inbox', g.inbox, 'context', g.current_context, 'last_run_at', g.last_run_at)), '{}')
              from public.agent_states g
              where g.stack_id = a.id and (g.last_run_at is not null or g.inbox <> '{}' or g.memory <> '{}')),   -- not who has nothing yet
            'todos', (
              select coalesce(json_agg(x), '[]') from (
                select d.id, d.content, d.status, d.priority, d.assigned_to, d.assigned_by, d.attempts, d.available_at, d.last_error, d.created_at
                from public.todos d where d.stack_id = a.id and d.status in ('pending', 'in_progress', 'failed')
                order by d.status = 'failed', d.priority desc, d.created_at, d.id limit 60) x),
            'todo_counts', (
              select json_build_object(
                'pending', count(*) filter (where d.status = 'pending'), 'in_progress', count(*) filter (where d.status = 'in_progress'),
                'completed', count(*) filter (where d.status = 'completed'), 'cancelled', count(*) filter (where d.status = 'cancelled'),
                'failed', count(*) filter (where d.status = 'failed'))
              from public.todos d where d.stack_id = a.id),
            'done', (
              select coalesce(json_agg(x order by x.completed_at desc), '[]') from (
                select d.id, d.content, d.completed_at from public.todos d
                where d.stack_id = a.id and d.status = 'completed' order by d.completed_at desc limit 10) x),
            'visitor_messages', (
              select coalesce(json_agg(x order by x.created_at, x.id), '[]') from (
                select u.id, u.sender_name, u.content, u.created_at, u.attempts, u.available_at from public.user_messages u
                where u.stack_id = a.id and u.status = 'waiting' order by u.created_at, u.id limit 20) x),
            'conversation', (
              select coalesce(json_agg(x order by x.answered_at), '[]') from (
                select u.sender_name, u.content, m.content as reply, u.answered_at
                from public.user_messages u join public.messages m on m.id = u.response_id
                where u.stack_id = a.id and u.status = 'answered' order by u.created_at desc limit 10) x),
            -- Direct messages, and broadcasts that a run took and gave back; broadcasts nobody touched are among the surroundings.
            'team_messages', (
              select coalesce(json_agg(x order by x.created_at, x.id), '[]') from (
                select m.id, m.from_stack_id, f.participant_name as from_name, m.content, m.message_type, m.hop, m.created_at,
                  m.attempts, m.available_at
                from (
                  select d.*, coalesce(r.attempts, 0) as attempts, r.available_at
                  from public.messages d left join public.message_reads r on r.message_id = d.id and r.stack_id = a.id
                  where d.to_stack_id = a.id and d.message_type = 'direct' and coalesce(r.status, 'waiting') = 'waiting'
                  union all
                  select d.*, r.attempts, r.available_at
                  from public.message_reads r join public.messages d on d.id = r.message_id
                  where r.stack_id = a.id and r.status = 'waiting' and d.message_type = 'broadcast'
                ) m left join public.agent_stacks f on f.id = m.from_stack_id
                where m.from_stack_id is distinct from a.id
                order by m.created_at, m.id limit 20) x),
            'heard', coalesce(heard.places, '{}'),
            'artifact', (
              select json_build_object('id', f.id, 'version', f.version, 'type', f.type, 'metadata', f.metadata, 'size_bytes', f.size_bytes,
                'todo_id', f.todo_id, 'created_at', f.created_at, 'content', null)
              from public.artifacts f where f.stack_id = a.id order by f.version desc limit 1)) as snapshot) own
        where a.id = any (stacks))));
end $$;

-- How many more stacks may be under lease, where the fleet has a limit. Counting and claiming must not overlap with another
-- daemon's; whoever finds it counting claims nothing now and asks again.
create function internal.room(fleet_max integer, t timestamptz) returns integer
language plpgsql set search_path = '' as $$
begin
  if fleet_max is null then
    return 2147483647;
  elsif not pg_try_advisory_xact_lock(hashtextextended('stackbeat.fleet', 0)) then
    return 0;
  end if;
  return greatest(fleet_max - (select count(*) from public.stack_schedule s where s.lease_expires_at > t), 0);
end $$;

-- Of these stacks the ones of which somebody else holds a row that a dead worker's run owns; the other such rows are locked.
create function internal.owned_in_other_hands(stacks uuid[]) returns uuid[]
language plpgsql set search_path = '' as $$
declare
  todos uuid[] := array(select l.id from (
    select d.id from public.todos d where d.stack_id = any (stacks) and d.status = 'in_progress'
    order by d.id for no key update skip locked) l);
  lines uuid[] := array(select l.id from (
    select u.id from public.user_messages u where u.stack_id = any (stacks) and u.status = 'claimed'
    order by u.id for no key update skip locked) l);
  reads text[] := array(select l.key from (
    select m.message_id || ' ' || m.stack_id as key from public.message_reads m where m.stack_id = any (stacks) and m.status = 'claimed'
    order by m.message_id, m.stack_id for no key update skip locked) l);
begin
  return array(
    select d.stack_id from public.todos d where d.stack_id = any (stacks) and d.status = 'in_progress' and d.id <> all (todos)
    union
    select u.stack_id from public.user_messages u where u.stack_id = any (stacks) and u.status = 'claimed' and u.id <> all (lines)
    union
    select m.stack_id from public.message_reads m
      where m.stack_id = any (stacks) and m.status = 'claimed' and m.message_id || ' ' || m.stack_id <> all (reads));
end $$;

-- {v, worker, max, lease_ms, cadence_ms, renewed_at?, fleet_max?, stack_id?} -> {v, now, next_wake_at, surroundings, stacks: [...]}
-- Two statements in this order: lease, then read the snapshots, so that they are never older than the lease.
--
-- `renewed_at` is when this database last renewed all of the worker's leases. After an outage the worker's own stacks look like a
-- dead worker's, and its claim may arrive before its heartbeat. It gets an expired lease of its own back only if that lease was
-- not renewed then: it belongs to a claim whose answer was lost, so no run of it lives.
create function public.claim_due_stacks(request jsonb) returns json
language plpgsql set search_path = '' set plan_cache_mode = force_generic_plan as $$
declare
  t timestamptz := internal.clock();
  me uuid := request ->> 'worker';
  lease interval := make_interval(secs => (request ->> 'lease_ms')::numeric::double precision / 1000);
  known_until timestamptz := (request ->> 'renewed_at')::timestamptz + lease;
  chosen uuid := request ->> 'stack_id';
  claimed uuid[];
  orphaned uuid[];
  away uuid[];
begin
  perform internal.open_request(request, 'worker', 'max', 'lease_ms', 'cadence_ms');

  -- A running stack is claimable when it is due and nobody's lease holds it; a minute's wait outweighs two priorities.
  select array_agg(c.id) into claimed from (
    select a.id
    from public.agent_stacks a join public.stack_schedule s on s.stack_id = a.id
    where coalesce(s.lease_expires_at, '-infinity') <= t
      and (s.lease_owner is distinct from me or s.lease_expires_at < known_until)
      and case
        when chosen is not null then a.id = chosen
        else a.execution_state = 'running'
          and (s.due_at <= t or exists (select from internal.late_wakes w where w.stack_id = a.id))
      end
    order by a.priority + extract(epoch from t - coalesce(s.due_at, t)) / 30 desc, s.due_at, a.id
    limit least((request ->> 'max')::integer, 100,
      case when chosen is null then internal.room((request ->> 'fleet_max')::integer, t) end)
    for no key update of a, s skip locked
  ) c;

  select array_agg(distinct e.stack_id) into orphaned
    from public.agent_executions e where e.stack_id = any (claimed) and e.status = 'running';
  if orphaned is not null then
    away := internal.owned_in_other_hands(orphaned);
    claimed := nullif(array(select c from unnest(claimed) c where c <> all (away)), '{}');
    perform internal.release_work(array(select o from unnest(orphaned) o where o <> all (away)), 'abandoned');
  end if;

  if claimed is not null then
    delete from internal.late_wakes where stack_id = any (claimed);
    update public.stack_schedule set
        fence = fence + 1, lease_owner = me, claimed_at = t, lease_expires_at = t + lease,
        by_hand = chosen is not null,
        due_at = coalesce(due_at, t)   -- if this worker dies, the end of its lease must find the stack due
      where stack_id = any (claimed);
    return internal.sight(claimed, (request ->> 'cadence_ms')::integer, t);
  end if;
  return json_build_object('v', 2, 'now', t, 'next_wake_at', internal.next_wake(t), 'surroundings', null, 'stacks', '[]'::json);
end $$;

-- begin_runs ------------------------------------------------------------------------------------------------------------

-- Takes the rows these runs want to own; a run that got none is not in the answer.
create function internal.take_items(runs internal.planned_run[], t timestamptz) returns internal.owned_item[]
language plpgsql set search_path = '' as $$
declare
  kinds text[] := array(select distinct r.item ->> 'kind' from unnest(runs) r);
  owned internal.owned_item[] := '{}';
begin
  if 'todo' = any (kinds) then
    with wanted as (
      select r.run_id, r.stack_id, (r.item -> 'ids' ->> 0)::uuid as id from unnest(runs) r where r.item ->> 'kind' = 'todo'
    ), free as (
      select d.id from public.todos d
      where d.id in (select w.id from wanted w) and d.status = 'pending' and coalesce(d.available_at, t) <= t
      order by d.id for no key update skip locked
    ), taken as (
      update public.todos d set status = 'in_progress', run_id = w.run_id, attempts = d.attempts + 1, updated_at = t
      from wanted w join free f on f.id = w.id
      where d.id = w.id and d.stack_id = w.stack_id
      returning d.run_id, d.attempts
    ) select owned || coalesce(array_agg(row(x.run_id, x.attempts)::internal.owned_item), '{}') into owned from taken x;
  end if;
  if 'visitor' = any (kinds) then
    with wanted as (
      select r.run_id, r.stack_id, i.id::uuid as id
      from unnest(runs) r cross join lateral jsonb_array_elements_text(r.item -> 'ids') i(id) where r.item ->> 'kind' = 'visitor'
    ), free as (
      select u.id from public.user_messages u
      where u.id in (select w.id from wanted w) and u.status = 'waiting' and coalesce(u.available_at, t) <= t
      order by u.id for no key update skip locked
    ), taken as (
      update public.user_messages u set status = 'claimed', run_id = w.run_id, attempts = u.attempts + 1
      from wanted w join free f on f.id = w.id
      where u.id = w.id and u.stack_id = w.stack_id
      returning u.run_id, u.attempts
    ) select owned || coalesce(array_agg(row(x.run_id, x.attempts)::internal.owned_item), '{}') into owned
      from (select k.run_id, max(k.attempts) as attempts from taken k group by k.run_id) x;
  end if;
  if 'message' = any (kinds) then
    insert into public.message_reads (message_id, stack_id, status)
      select g.id, r.stack_id, 'waiting'
      from unnest(runs) r cross join lateral jsonb_array_elements_text(r.item -> 'ids') i(id)
      join public.messages g on g.id = i.id::uuid
      where r.item ->> 'kind' = 'message'
      order by g.id for key share of g skip locked   -- not those whose sender is being deleted right now
      on conflict (message_id, stack_id) do nothing;
    with wanted as (
      select r.run_id, r.stack_id, i.id::uuid as id
      from unnest(runs) r cross join lateral jsonb_array_elements_text(r.item -> 'ids') i(id) where r.item ->> 'kind' = 'message'
    ), free as (
      select m.message_id, m.stack_id from public.message_reads m join wanted w on w.id = m.message_id and w.stack_id = m.stack_id
      where m.status = 'waiting' and coalesce(m.available_at, t) <= t
      order by m.message_id, m.stack_id for no key update of m skip locked
    ), taken as (
      update public.message_reads m set status = 'claimed', run_id = w.run_id, attempts = m.attempts + 1
      from wanted w join free f on f.message_id = w.id and f.stack_id = w.stack_id
      where m.message_id = w.id and m.stack_id = w.stack_id
      returning m.run_id, m.attempts
    ) select owned || coalesce(array_agg(row(x.run_id, x.attempts)::internal.owned_item), '{}') into owned
      from (select k.run_id, max(k.attempts) as attempts from taken k group by k.run_id) x;
  end if;
  return owned;
end $$;

-- The verdict of each asked run; 'free' means that nothing but its item can still stand in the way.
create function internal.judge_begins(runs internal.planned_run[], held internal.held_stack[]) returns internal.verdict[]
language plpgsql set search_path = '' as $$
begin
  return (
    select array_agg(row(r.run_id, r.stack_id, r.agent, j.verdict, case j.verdict
        when 'busy' then 'somebody else is writing to the stack'
        when 'paused' then 'the stack is paused'
        when 'stale' then case when e.id is not null then 'this run already ended as ' || e.status
          when h.fence = r.fence then 'the cycle has settled'
          else 'the fence is ' || h.fence || ', the run''s is ' || r.fence end
        when 'stopped' then case when h.id is null then 'the stack was deleted' else 'the stack is ' || h.state end
      end)::internal.verdict)
    from unnest(runs) r
    left join unnest(held) h on h.id = r.stack_id
    left join public.agent_executions e on e.id = r.run_id
    cross join lateral (select case
      when e.status = 'running' then 'begun'   -- the answer to the first asking was lost
      when e.id is not null then 'stale'
      when h.id is null then case when exists (select from public.agent_stacks a where a.id = r.stack_id) then 'busy' else 'stopped' end
      when h.fence <> r.fence then case when h.state = 'stopped' then 'stopped' else 'stale' end
      when not h.leased then 'stale'   -- delivered after its cycle settled: nobody would end this run
      when h.by_hand or h.state = 'running' then 'free'
      when h.state = 'paused' then 'paused'
      else 'stopped' end as verdict) j);
end $$;

-- What may have been answered already, by run: the stored replies to earlier runs of the same stack, agent and work whose effects
-- did not land. Whether one of them answers the very same question the asker knows, by `ask_hash`.
create function internal.kept_replies(runs internal.planned_run[]) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
  return (
    select jsonb_object_agg(k.run_id, k.replies)
    from (
      select r.run_id, jsonb_agg(jsonb_build_object('call_id', c.id, 'ask_hash', c.ask_hash, 'simulated', c.simulated, 'body', c.reply)
        order by c.created_at desc, c.attempt desc) as replies
      from unnest(runs) r
      join public.agent_executions e on e.stack_id = r.stack_id and e.agent_type = r.agent and e.work_key = r.key
        and e.status in ('abandoned', 'stale', 'stopped')
      join public.llm_calls c on c.run_id = e.id and c.error is null and c.reply is not null
        and c.finish_reason is distinct from 'length' and c.ask_hash is not null
      where not exists (select from public.agent_executions u where u.reply_of = c.id and u.status = 'completed')
      group by r.run_id) k);
end $$;

-- {v, worker, runs: [{run_id, stack_id, fence, agent, priority, reason, key, work_at, item, needs_artifact, offers}]}
-- -> {v, now, runs: [{run_id, verdict, reason, wait_ms, attempt, provider, usd, artifact, kept}]}
-- A run with offers reserves what one of them needs; `provider` and `usd` say which and how much, `waiting` that none fits now.
create function public.begin_runs(request jsonb) returns jsonb
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
      'kept', case when v.verdict = 'begun' then kept -> r.run_id::text end)), '[]')
    from unnest(asked) r
    join unnest(judged) j on j.run_id = r.run_id
    left join unnest(owned) o on o.run_id = r.run_id
    left join unnest(reserved) x on x.run_id = r.run_id
    left join public.agent_executions e on e.id = r.run_id
    cross join lateral (select case
      when j.verdict <> 'free' then j.verdict when r.run_id = any (begun) then 'begun' else 'taken' end as verdict) v));
end $$;

-- commit_runs -----------------------------------------------------------------------------------------------------------

-- The ledger, whatever the fence says: money is spent. Returns the calls it did not know yet.
create function internal.keep_ledger(runs internal.finished_run[], t timestamptz) returns uuid[]
language plpgsql set search_path = '' as $$
declare
  fresh uuid[];
begin
  with kept as (
  insert into public.llm_calls (id, run_id, stack_id, agent_type, attempt, provider, model, tokens_in, tokens_out, tokens_cached,
      cost_usd, latency_ms, finish_reason, error, simulated, ask_hash, reply, created_at)
    select c.id, r.run_id, r.stack_id, r.agent, c.attempt, c.provider, c.model, coalesce(c.tokens_in, 0), coalesce(c.tokens_out, 0),
      coalesce(c.tokens_cached, 0), coalesce(c.cost_usd, 0), coalesce(c.latency_ms, 0), c.finish_reason, c.error,
      coalesce(c.simulated, false), c.ask_hash, c.reply, t
    from unnest(runs) r
    cross join lateral jsonb_to_recordset(coalesce(r.calls, '[]')) as c(id uuid, attempt smallint, provider text, model text,
      tokens_in integer, tokens_out integer, tokens_cached integer, cost_usd numeric, latency_ms integer, finish_reason text, error text,
      simulated boolean, ask_hash text, reply text)
    on conflict (id) do nothing
    returning id
  ) select array_agg(k.id) into fresh from kept k;
  return fresh;
end $$;

-- The changes of the runs that completed, one row each; n is a change's place in its run.
create function internal.changes_of(runs internal.finished_run[]) returns internal.change[]
language plpgsql set search_path = '' as $$
begin
  return (
    select coalesce(array_agg(row(
      r.run_id, r.stack_id, r.agent, coalesce(r.simulated, false), c.n, c.body ->> 'op', c.body)::internal.change), '{}')
    from unnest(runs) r cross join lateral jsonb_array_elements(coalesce(r.changes, '[]')) with ordinality as c(body, n)
    where r.status = 'completed');
end $$;

-- Stacks of which somebody else holds a row that these runs will write: a person's open or bulk UPDATE. What is free is locked
-- here, so that the commit waits for no row, in whatever order others take theirs.
create function internal.stacks_in_other_hands(runs internal.finished_run[], changes internal.change[]) returns uuid[]
language plpgsql set search_path = '' as $$
declare
  ids uuid[] := array(select r.run_id from unnest(runs) r);
  kinds text[] := array(select distinct e.item ->> 'kind' from public.agent_executions e where e.id = any (ids) and e.item is not null);
  ops text[] := array(select distinct c.op from unnest(changes) c);
  away uuid[] := '{}';
begin
  if 'todo' = any (kinds) or ops && '{update_todo,cancel_todo,finish_todo}' then
    with wanted as (
      select d.id, d.stack_id from public.todos d where d.id in (
        select (c.body ->> 'id')::uuid from unnest(changes) c
          where c.op in ('update_todo', 'cancel_todo', 'finish_todo') and c.body ->> 'id' ~ '^[0-9a-fA-F-]{36}$'
        union
        select (e.item -> 'ids' ->> 0)::uuid from public.agent_executions e where e.id = any (ids) and e.item ->> 'kind' = 'todo')
    ), got as (
      select d.id from public.todos d where d.id in (select w.id from wanted w) order by d.id for no key update skip locked
    ) select away || array(select w.stack_id from wanted w where w.id not in (select g.id from got g)) into away;
  end if;
  if 'set_idea' = any (ops) then
    with wanted as (
      select i.id, i.stack_id from public.project_ideas i where i.stack_id in (select c.stack_id from unnest(changes) c where c.op = 'set_idea')
    ), got as (
      select i.id from public.project_ideas i where i.id in (select w.id from wanted w) order by i.id for no key update skip locked
    ) select away || array(select w.stack_id from wanted w where w.id not in (select g.id from got g)) into away;
  end if;
  if 'visitor' = any (kinds) then
    with wanted as (
      select u.id, u.stack_id from public.user_messages u
      where u.stack_id in (select r.stack_id from unnest(runs) r) and u.status = 'claimed' and u.run_id = any (ids)
    ), got as (
      select u.id from public.user_messages u where u.id in (select w.id from wanted w) order by u.id for no key update skip locked
    ) select away || array(select w.stack_id from wanted w where w.id not in (select g.id from got g)) into away;
  end if;
  if 'message' = any (kinds) or 'mark_read' = any (ops) then
    -- Messages of senders that are being deleted right now, and reads that somebody retries.
    with wanted as (
      select m.id, x.stack_id
      from (
        select c.stack_id, i.id from unnest(changes) c cross join lateral jsonb_array_elements_text(c.body -> 'message_ids') i(id)
          where c.op = 'mark_read'
        union
        select e.stack_id, i.id from public.agent_executions e cross join lateral jsonb_array_elements_text(e.item -> 'ids') i(id)
          where e.id = any (ids) and e.item ->> 'kind' = 'message') x
      join public.messages m on m.id = case when x.id ~ '^[0-9a-fA-F-]{36}$' then x.id::uuid end
    ), reads as (
      select m.message_id, m.stack_id from public.message_reads m join wanted w on w.id = m.message_id and w.stack_id = m.stack_id
    ), got as (
      select m.id from public.messages m where m.id in (select w.id from wanted w) order by m.id for key share skip locked
    ), got_reads as (
      select m.message_id, m.stack_id from public.message_reads m
      where (m.message_id, m.stack_id) in (select r.message_id, r.stack_id from reads r)
      order by m.message_id, m.stack_id for no key update skip locked
    ) select away || array(
        select w.stack_id from wanted w where w.id not in (select g.id from got g)
        union
        select r.stack_id from reads r where (r.message_id, r.stack_id) not in (select g.message_id, g.stack_id from got_reads g))
      into away;
  end if;
  return away;
end $$;

-- One verdict a run. A run seen before has its old one; the rest is the fence's word. 'valid' means that its effects may land.
create function internal.judge_commits(runs internal.finished_run[], changes internal.change[], held internal.held_stack[])
returns internal.verdict[]
language plpgsql set search_path = '' as $$
begin
  return (
    select coalesce(array_agg(row(r.run_id, r.stack_id, r.agent, case
        when e.status in ('completed', 'deferred') then 'done'
        when e.status = 'abandoned' then 'stale'
        when e.status <> 'running' then e.status
        when h.id is null and a.id is not null then 'busy'
        when a.id is null then 'stopped'
        when h.fence <> r.fence then case when h.state = 'stopped' then 'stopped' else 'stale' end
        when e.id is null then 'stale'
        when w.run_id is not null then 'busy'
        else 'valid' end,
      case when e.status <> 'running' then e.error end)::internal.verdict), '{}')
    from unnest(runs) r
    left join unnest(held) h on h.id = r.stack_id
    left join public.agent_stacks a on a.id = r.stack_id
    left join public.agent_executions e on e.id = r.run_id
    left join (   -- runs that write to a stack somebody else holds
      select distinct c.run_id from unnest(changes) c join public.agent_stacks b on b.id = (c.body ->> 'to_stack_id')::uuid
      where c.op = 'send_message' and not exists (select from unnest(held) x where x.id = b.id)) w on w.run_id = r.run_id);
end $$;

-- The effects of these changes on everything but the agents' own states, set-wise: the caller holds their stacks and has judged
-- their fences. Raises when any row is refused. A new row's id is made of the run and the change's place in it, so that the same
-- change cannot be there twice; asking the system for random numbers costs more than that.
create function internal.apply_changes(changes internal.change[], t timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  ops text[] := array(select distinct coalesce(c.op, '') from unnest(changes) c);
begin
  if not ops <@ '{set_idea,set_phase,add_todo,update_todo,cancel_todo,finish_todo,publish_artifact,send_message,answer_visitor,mark_read,remember,advise,clear_inbox}' then
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
    with fresh as (
      select md5(c.run_id || ' ' || c.n)::uuid as id, c.stack_id, c.author, c.body ->> 'content' as content, c.body ->> 'description' as description,
        d.id as todo_id, c.run_id, c.simulated,
        coalesce((select max(f.version) from public.artifacts f where f.stack_id = c.stack_id), 0)
          + row_number() over (partition by c.stack_id order by c.n) as version
      from unnest(changes) c
      left join public.todos d on d.id = (c.body ->> 'todo_id')::uuid and d.stack_id = c.stack_id
      where c.op = 'publish_artifact'
    ), published as (
      insert into public.artifacts (id, stack_id, version, created_by, size_bytes, metadata, simulated, todo_id, run_id, created_at)
      select n.id, n.stack_id, n.version, n.author, octet_length(n.content), jsonb_build_object('description', coalesce(n.description, '')),
        n.simulated, n.todo_id, n.run_id, t
      from fresh n
      returning id
    )
    insert into public.artifact_bodies (artifact_id, content) select p.id, n.content from published p join fresh n on n.id = p.id;
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

-- The agents' own states, one write a run: memory by key, of the inbox only what was seen, context, and when it last ran. A
-- plug-in's agent gets its row with its first commit here. Only the verbs write these rows, and the caller holds their stacks: what is
-- read here is still so when it is written.
-- A run may change one key several times: its last word counts, and within one change `set` comes after `drop`.
create function internal.write_states(runs internal.finished_run[], changes internal.change[], t timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  insert into public.agent_states as s (stack_id, agent_type, memory, inbox, current_context, last_run_at, updated_at)
    select r.stack_id, r.agent,
      coalesce(g.memory - m.keys, g.memory, '{}') || coalesce(m.kept, '{}'),
      coalesce(g.inbox - i.ids, g.inbox, '{}'),
      case when jsonb_typeof(r.context) = 'object' then r.context else coalesce(g.current_context, '{}') end,
      e.started_at, t
    from unnest(runs) r
    join public.agent_executions e on e.id = r.run_id
    left join public.agent_states g on g.stack_id = r.stack_id and g.agent_type = r.agent
    left join (
      select l.stack_id, l.author, array_agg(l.key) as keys, jsonb_object_agg(l.key, l.value) filter (where l.value is not null) as kept
      from (
        select distinct on (c.stack_id, c.author, w.key) c.stack_id, c.author, w.key, w.value
        from unnest(changes) c
        cross join lateral (
          select d.key, null::jsonb as value from jsonb_array_elements_text(coalesce(nullif(c.body -> 'drop', 'null'), '[]')) as d(key)
          union all
          select e.key, e.value from jsonb_each(coalesce(nullif(c.body -> 'set', 'null'), '{}')) e) w
        where c.op = 'remember'
        order by c.stack_id, c.author, w.key, c.n desc, w.value is null) l
      group by l.stack_id, l.author) m on m.stack_id = r.stack_id and m.author = r.agent
    left join (
      select c.stack_id, c.author, array_agg(k.id) as ids
      from unnest(changes) c cross join lateral jsonb_array_elements_text(c.body -> 'ids') as k(id)
      where c.op = 'clear_inbox' group by c.stack_id, c.author) i on i.stack_id = r.stack_id and i.author = r.agent
    on conflict (stack_id, agent_type) do update set
      memory = excluded.memory, inbox = excluded.inbox, current_context = excluded.current_context,
      last_run_at = excluded.last_run_at, updated_at = excluded.updated_at;
end $$;

-- What these runs owned and did not finish goes back: a failure waits retry_ms and counts, the third one is final and visible;
-- anything else (the model was away, the stack was stopped) gives the attempt back.
create function internal.return_items(runs internal.finished_run[], kinds text[], t timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  most constant integer := 3;
begin
  if 'todo' = any (kinds) then
    update public.todos d set run_id = null, updated_at = t,
        attempts = d.attempts - case when r.status = 'failed' then 0 else 1 end,
        status = case when r.status = 'failed' and d.attempts >= most then 'failed' else 'pending' end,
        available_at = t + make_interval(secs => coalesce(r.retry_ms, 0) / 1000.0),
        last_error = coalesce(internal.shown_error(r.error), d.last_error)
      from unnest(runs) r where d.stack_id = r.stack_id and d.status = 'in_progress' and d.run_id = r.run_id;
  end if;
  if 'visitor' = any (kinds) then
    update public.user_messages u set run_id = null,
        attempts = u.attempts - case when r.status = 'failed' then 0 else 1 end,
        status = case when r.status = 'failed' and u.attempts >= most then 'failed' else 'waiting' end,
        available_at = t + make_interval(secs => coalesce(r.retry_ms, 0) / 1000.0),
        last_error = coalesce(internal.shown_error(r.error), u.last_error)
      from unnest(runs) r where u.stack_id = r.stack_id and u.status = 'claimed' and u.run_id = r.run_id;
  end if;
  if 'message' = any (kinds) then
    update public.message_reads m set run_id = null,
        attempts = m.attempts - case when r.status = 'failed' then 0 else 1 end,
        status = case when r.status = 'failed' and m.attempts >= most then 'failed' else 'waiting' end,
        available_at = t + make_interval(secs => coalesce(r.retry_ms, 0) / 1000.0),
        last_error = coalesce(internal.shown_error(r.error), m.last_error)
      from unnest(runs) r where m.stack_id = r.stack_id and m.status = 'claimed' and m.run_id = r.run_id;
  end if;
end $$;

-- Effects, states, outcomes and traces of runs that were judged valid: all of it, or an exception.
create function internal.land_runs(runs internal.finished_run[], changes internal.change[], t timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  kinds text[];
begin
  perform internal.apply_changes(changes, t);
  perform internal.write_states(runs, changes, t);
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

-- Lands what is valid, all runs together; where somebody's changes are refused, one by one, so that only that run pays.
create function internal.land_each(runs internal.finished_run[], changes internal.change[], t timestamptz) returns internal.verdict[]
language plpgsql set search_path = '' as $$
declare
  one internal.finished_run;
  its internal.change[];
  landed internal.verdict[] := '{}';
begin
  begin
    perform internal.land_runs(runs, changes, t);
    return array(select row(r.run_id, r.stack_id, r.agent, 'done', null)::internal.verdict from unnest(runs) r);
  exception when integrity_constraint_violation or data_exception or raise_exception or sqlstate 'SB001' then
    null;
  end;
  foreach one in array runs loop
    its := array(select c from unnest(changes) c where c.run_id = one.run_id);
    begin
      perform internal.land_runs(array[one], its, t);
      landed := landed || row(one.run_id, one.stack_id, one.agent, 'done', null)::internal.verdict;
    exception when integrity_constraint_violation or data_exception or raise_exception or sqlstate 'SB001' then
      landed := landed || row(one.run_id, one.stack_id, one.agent, 'failed', sqlerrm)::internal.verdict;
      one.status := 'failed';
      one.error := 'the database refused the changes: ' || sqlerrm;
      one.trace := null;
      one.context := null;
      one.retry_ms := coalesce(one.retry_ms, 5000);
      perform internal.land_runs(array[one], '{}', t);
    end;
  end loop;
  return landed;
end $$;

-- Ends cycles: gives up the lease and sets the next due time, at once where a wake came meanwhile. One verdict a settlement; a
-- repeated one did its work before.
create function internal.settle_stacks(settlements internal.settlement[], held internal.held_stack[], judged internal.verdict[],
  cadence_ms numeric, t timestamptz, out verdicts jsonb, out next_due timestamptz)
language plpgsql set search_path = '' as $$
begin
  with asked as (
    select q.stack_id, q.fence, q.wakes, q.due_in_ms, h.fence as held_fence, f.stack_id is not null as refused
    from unnest(settlements) q
    left join unnest(held) h on h.id = q.stack_id
    left join (select distinct j.stack_id from unnest(judged) j where j.verdict = 'failed') f on f.stack_id = q.stack_id
  ), settle as (
    update public.stack_schedule s set
      lease_owner = null, lease_expires_at = null, by_hand = false, total_cycles = s.total_cycles + 1, last_executed_at = t,
      overruns = s.overruns + coalesce(greatest(floor(extract(epoch from t - s.claimed_at)
        / nullif(coalesce(a.cadence_s, cadence_ms / 1000), 0)), 0), 0)::bigint,
      due_at = case
        when s.wakes <> q.wakes then t
        when q.refused then t + interval '5 seconds'
        when q.due_in_ms is null or a.execution_state = 'idle' then null
        else t + make_interval(secs => q.due_in_ms / 1000) end
    from asked q join public.agent_stacks a on a.id = q.stack_id
    where s.stack_id = q.stack_id and s.fence = q.fence and q.held_fence = q.fence and s.lease_owner is not null
    returning s.stack_id, s.due_at
  )
  select coalesce(jsonb_agg(jsonb_build_object('stack_id', q.stack_id, 'verdict', case
      when d.stack_id is not null or q.held_fence = q.fence then 'done'
      when q.held_fence is null and exists (select from public.agent_stacks a where a.id = q.stack_id) then 'busy'
      else 'stale' end)), '[]'), min(d.due_at)
    into verdicts, next_due
    from asked q left join settle d on d.stack_id = q.stack_id;
end $$;

-- What people see of it, in one write a stack and only where it changes. Over is only what this call ended: a run told twice
-- may have a living successor of the same agent.
create function internal.show_status(settlements internal.settlement[], held internal.held_stack[], landed internal.verdict[], t timestamptz)
returns void
language plpgsql set search_path = '' as $$
begin
  update public.stack_status s set
      activity = s.activity - n.over, updated_at = t,
      wait_reason = case when n.settled then n.wait_reason else s.wait_reason end,
      wait_until = case when n.settled then n.wait_until else s.wait_until end
    from (
      select h.id as stack_id, coalesce(o.agents, '{}') as over,
        q.stack_id is not null and a.execution_state = 'running' as settled,   -- as it is now: a run may have completed the project
        q.wait_reason, t + make_interval(secs => q.wait_ms / 1000) as wait_until
      from unnest(held) h
      join public.agent_stacks a on a.id = h.id
      left join (
        select l.stack_id, array_agg(l.agent) as agents from unnest(landed) l group by l.stack_id) o on o.stack_id = h.id
      left join unnest(settlements) q on q.stack_id = h.id and q.fence = h.fence) n
    where s.stack_id = n.stack_id
      and (s.activity ?| n.over
        or (n.settled and (s.wait_reason is distinct from n.wait_reason or s.wait_until is distinct from n.wait_until)));
end $$;

-- {v, worker, cadence_ms, runs: [...], settlements: [...], limits?: [...]} -> {v, now, next_wake_at, runs: [{run_id, verdict, reason}], settled: [{stack_id, verdict}]}
-- next_wake_at is the earliest due time that this commit made, null where it made none.
create function public.commit_runs(request jsonb) returns jsonb
language plpgsql set search_path = '' set plan_cache_mode = force_generic_plan as $$
declare
  t timestamptz := internal.clock();
  runs internal.finished_run[];
  valid_runs internal.finished_run[];
  settlements internal.settlement[];
  changes internal.change[];
  held internal.held_stack[];
  judged internal.verdict[];
  landed internal.verdict[] := '{}';
  others uuid[];
  away uuid[];
  settled jsonb;
  next_due timestamptz;
  calls uuid[];
  ended uuid[];
begin
  perform internal.open_request(request, 'worker');
  runs := array(select r from jsonb_populate_recordset(null::internal.finished_run, coalesce(nullif(request -> 'runs', 'null'), '[]')) r);
  settlements := array(select s from jsonb_populate_recordset(null::internal.settlement, coalesce(nullif(request -> 'settlements', 'null'), '[]')) s);
  if cardinality(runs) > 50 then
    raise exception 'a commit carries at most 50 runs, this one has %: send it in parts', cardinality(runs) using errcode = 'SB001';
  end if;
  calls := internal.keep_ledger(runs, t);

  changes := internal.changes_of(runs);
  others := array(select (c.body ->> 'to_stack_id')::uuid from unnest(changes) c where c.op = 'send_message' and c.body ->> 'to_stack_id' is not null);
  held := internal.hold_stacks(array(
    select r.stack_id from unnest(runs) r union select s.stack_id from unnest(settlements) s union select unnest(others)));
  away := internal.stacks_in_other_hands(runs, changes);
  if cardinality(away) > 0 then
    held := array(select h from unnest(held) h where h.id <> all (away));
  end if;

  judged := internal.judge_commits(runs, changes, held);
  ended := array(   -- for the first and only time
    select e.id from unnest(judged) j join public.agent_executions e on e.id = j.run_id
    where j.verdict <> 'busy' and e.status = 'running' and e.reserved_provider is not null);
  if exists (select from unnest(judged) j where j.verdict = 'valid') then
    valid_runs := runs;
    if exists (select from unnest(judged) j where j.verdict <> 'valid') then   -- seldom, so that the lists are seldom copied
      valid_runs := array(select r from unnest(runs) r join unnest(judged) j on j.run_id = r.run_id where j.verdict = 'valid');
      changes := array(select c from unnest(changes) c join unnest(judged) j on j.run_id = c.run_id where j.verdict = 'valid');
    end if;
    landed := internal.land_each(valid_runs, changes, t);
    judged := landed || array(select j from unnest(judged) j where j.verdict <> 'valid');
  end if;
  if exists (select from unnest(judged) j where j.verdict in ('stale', 'stopped')) then
    -- They still get their end, where they are on record, and what stood in the ledger for a lost worker's call gives way.
    perform internal.forget_lost(array(
      select r.run_id from unnest(runs) r join unnest(judged) j on j.run_id = r.run_id
      where j.verdict in ('stale', 'stopped') and coalesce(jsonb_array_length(r.calls), 0) > 0), t);
    update public.agent_executions e set status = j.verdict, completed_at = t
      from unnest(judged) j where e.id = j.run_id and e.status = 'running' and j.verdict in ('stale', 'stopped');
  end if;

  select s.verdicts, s.next_due into settled, next_due
    from internal.settle_stacks(settlements, held, judged, (request ->> 'cadence_ms')::numeric, t) s;
  perform internal.show_status(settlements, held, landed, t);

  -- Last, because the whole fleet shares these rows.
  perform internal.learn_quota(nullif(request -> 'limits', 'null'), t);
  perform internal.settle_quota(ended, calls, t);
  perform internal.count_spent(calls, t);
  return jsonb_build_object('v', 2, 'now', t,
    'next_wake_at', case when cardinality(others) > 0 and cardinality(landed) > 0 then t else next_due end,
    'settled', settled, 'runs', (
      select coalesce(jsonb_agg(jsonb_build_object('run_id', j.run_id, 'verdict', j.verdict, 'reason', j.reason)), '[]') from unnest(judged) j));
end $$;

-- heartbeat -------------------------------------------------------------------------------------------------------------

-- {v, worker, name, version, slots, lease_ms, leases: [{stack_id, fence}], stopping?}
-- -> {v, now, renewed, lost: [stack_id], halted: [{stack_id, execution_state}]}
-- A lease that is neither renewed nor lost is one whose row is locked right now, by its own worker's call or by a person: it is
-- renewed at the next beat.
create or replace function public.heartbeat(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  t timestamptz := internal.clock();
  me uuid := request ->> 'worker';
  leases internal.held_stack[];
  renewed integer;
begin
  perform internal.open_request(request, 'worker', 'name', 'version', 'slots', 'lease_ms');
  leases := array(select row(l.stack_id, null, l.fence, null, null, null)::internal.held_stack
    from jsonb_to_recordset(coalesce(nullif(request -> 'leases', 'null'), '[]')) as l(stack_id uuid, fence bigint));
  insert into public.workers as w (id, name, version, slots, started_at, heartbeat_at)
    values (me, request ->> 'name', request ->> 'version', (request ->> 'slots')::integer, t, t)
    on conflict (id) do update set heartbeat_at = t, name = excluded.name, version = excluded.version, slots = excluded.slots,
      stopped_at = case when request -> 'stopping' = 'true' then t end;
  update public.stack_schedule s set lease_expires_at = t + make_interval(secs => (request ->> 'lease_ms')::double precision / 1000)
    where s.stack_id in (
      select h.stack_id from unnest(leases) l
      join public.stack_schedule h on h.stack_id = l.id and h.fence = l.fence and h.lease_owner = me
      order by h.stack_id for no key update of h skip locked);
  get diagnostics renewed = row_count;
  return jsonb_build_object('v', 2, 'now', t, 'renewed', renewed,
    'lost', (
      select coalesce(jsonb_agg(l.id), '[]') from unnest(leases) l left join public.stack_schedule h on h.stack_id = l.id
      where h.stack_id is null or h.fence <> l.fence or h.lease_owner is distinct from me),
    'halted', (
      select coalesce(jsonb_agg(jsonb_build_object('stack_id', a.id, 'execution_state', a.execution_state)), '[]')
      from unnest(leases) l
      join public.agent_stacks a on a.id = l.id
      join public.stack_schedule h on h.stack_id = l.id
      where a.execution_state <> 'running' and not h.by_hand));
end $$;

-- A message to the team that nobody could handle is retried like a todo or a visitor's line: by an UPDATE of its status.
create function internal.read_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if not internal.by_machine() and new.status is distinct from old.status then
    if not (old.status = 'failed' and new.status = 'waiting') then
      raise exception 'a % message cannot be set to "%": only failed to waiting (a retry)', old.status, new.status
        using errcode = '22023';
    end if;
    new.attempts := 0;
    new.available_at := null;
    perform internal.wake_from_update(new.stack_id);
  end if;
  return new;
end $$;
create trigger read_changed before update on public.message_reads
  for each row execute function internal.read_changed();
grant update (status) on public.message_reads to authenticated;
create policy "operators retry" on public.message_reads for update to authenticated
  using ((select internal.can_operate())) with check ((select internal.can_operate()));

revoke all on all functions in schema internal from public, anon, authenticated;
grant execute on function internal.is_operator(), internal.can_operate(), internal.clock() to anon, authenticated, service_role;
grant execute on all functions in schema internal to service_role;
grant execute on function internal.budget_used(uuid, text) to authenticated;
revoke all on function public.verbs_version(jsonb), public.claim_due_stacks(jsonb), public.begin_runs(jsonb), public.commit_runs(jsonb)
  from public, anon, authenticated;
grant execute on function public.verbs_version(jsonb), public.claim_due_stacks(jsonb), public.begin_runs(jsonb), public.commit_runs(jsonb)
  to service_role;
