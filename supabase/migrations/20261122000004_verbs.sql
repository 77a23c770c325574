-- Machine verbs: everything the daemon does to the database, one function each, verb(request jsonb) returns an object with a
-- version `v` on both sides. Security invoker, granted to service_role alone. Python decides, SQL moves.
--
-- Never waiting: a verb locks stacks with `skip locked` and says `busy` of what it could not get, so that it cannot take
-- part in a deadlock and a bulk UPDATE of agent_stacks never stops the daemon.
-- The fence says who may write: a claim raises it, stop and delete raise it, and a commit counts while it is unchanged.

create function internal.open_request(request jsonb, variadic required text[]) returns void
language plpgsql set search_path = '' as $$
declare
  field text;
begin
  if request -> 'v' is distinct from '1'::jsonb then
    raise exception 'this database speaks version 1 of the verbs, the caller sent version %: run the newer migrations or the matching daemon',
      coalesce(request ->> 'v', 'none') using errcode = 'SB002';
  end if;
  foreach field in array required loop
    if coalesce(request -> field, 'null'::jsonb) = 'null'::jsonb then
      raise exception 'the request lacks "%"', field using errcode = 'SB001';
    end if;
  end loop;
  perform set_config('stackbeat.machine', 'on', true);
end $$;

-- Locks what it can get of these stacks (row and schedule) in id order and returns {id: {state, fence, wakes, by_hand}}.
create function internal.lock_stacks(stacks uuid[]) returns jsonb
language sql set search_path = '' as $$
  select coalesce(jsonb_object_agg(l.id, to_jsonb(l)), '{}')
  from (
    select a.id, a.execution_state as state, s.fence, s.wakes, s.by_hand
    from public.agent_stacks a join public.stack_schedule s on s.stack_id = a.id
    where a.id = any (stacks)
    order by a.id
    for no key update of a, s skip locked
  ) l
$$;

-- When the earliest stack could be claimed: a due time, the end of somebody's lease, or now for a late wake.
create function internal.next_wake() returns timestamptz
language sql stable set search_path = '' as $$
  select min(greatest(
    case when w.stack_id is not null then '-infinity'::timestamptz else s.due_at end,
    coalesce(s.lease_expires_at, '-infinity'), internal.clock()))
  from public.agent_stacks a
  join public.stack_schedule s on s.stack_id = a.id
  left join internal.late_wakes w on w.stack_id = a.id
  where a.execution_state = 'running' and (s.due_at is not null or w.stack_id is not null)
$$;

-- What the agents of these stacks see. Bounded lists; artifact bodies come with begin_runs, for whom they concern.
-- json, not jsonb: this is written once and read elsewhere, and jsonb would be built anew at every level of nesting.
-- What all stacks share (the newest broadcasts, the neighbours) is read once a call.
create function internal.snapshots(stacks uuid[], cadence_ms integer) returns table (stack_id uuid, snapshot json)
language sql stable set search_path = '' as $$
  with clock as materialized (select internal.clock() as now),
  -- The newest 50 after a stack was made are among the newest 50 of all.
  broadcast as materialized (
    select m.id, m.from_stack_id, f.participant_name as from_name, m.content, m.message_type, m.hop, m.created_at
    from public.messages m left join public.agent_stacks f on f.id = m.from_stack_id
    where m.message_type = 'broadcast' order by m.created_at desc limit 50),
  others as materialized (select b.id, b.participant_name as name from public.agent_stacks b order by b.id limit 21)
  select a.id, json_build_object(
    'now', clock.now,
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
      from public.agent_states g where g.stack_id = a.id),
    'todos', (
      select coalesce(json_agg(t order by t.priority desc, t.created_at, t.id), '[]') from (
        select d.id, d.content, d.status, d.priority, d.assigned_to, d.assigned_by, d.attempts, d.available_at, d.last_error, d.created_at
        from public.todos d where d.stack_id = a.id and d.status in ('pending', 'in_progress', 'failed')
        order by d.status = 'failed', d.priority desc, d.created_at limit 60) t),
    'todo_counts', (
      select json_build_object(
        'pending', count(*) filter (where d.status = 'pending'), 'in_progress', count(*) filter (where d.status = 'in_progress'),
        'completed', count(*) filter (where d.status = 'completed'), 'cancelled', count(*) filter (where d.status = 'cancelled'),
        'failed', count(*) filter (where d.status = 'failed'))
      from public.todos d where d.stack_id = a.id),
    'done', (
      select coalesce(json_agg(t order by t.completed_at desc), '[]') from (
        select d.id, d.content, d.completed_at from public.todos d
        where d.stack_id = a.id and d.status = 'completed' order by d.completed_at desc limit 10) t),
    'visitor_messages', (
      select coalesce(json_agg(t order by t.created_at, t.id), '[]') from (
        select u.id, u.sender_name, u.content, u.created_at, u.attempts, u.available_at from public.user_messages u
        where u.stack_id = a.id and u.status = 'waiting' order by u.created_at, u.id limit 20) t),
    'conversation', (
      select coalesce(json_agg(t order by t.answered_at), '[]') from (
        select u.sender_name, u.content, m.content as reply, u.answered_at
        from public.user_messages u join public.messages m on m.id = u.response_id
        where u.stack_id = a.id and u.status = 'answered' order by u.created_at desc limit 10) t),
    'team_messages', (
      select coalesce(json_agg(t order by t.created_at, t.id), '[]') from (
        select m.id, m.from_stack_id, m.from_name, m.content, m.message_type, m.hop, m.created_at,
          coalesce(r.attempts, 0) as attempts, r.available_at
        from (
          select * from (
            select d.id, d.from_stack_id, f.participant_name as from_name, d.content, d.message_type, d.hop, d.created_at
            from public.messages d left join public.agent_stacks f on f.id = d.from_stack_id
            where d.to_stack_id = a.id and d.message_type = 'direct'
            order by d.created_at desc limit 50) direct
          union all
          select * from broadcast b where b.created_at > a.created_at
        ) m
        left join public.message_reads r on r.message_id = m.id and r.stack_id = a.id
        where m.from_stack_id is distinct from a.id and coalesce(r.status, 'waiting') = 'waiting'
        order by m.created_at, m.id limit 20) t),
    'neighbours', (
      select coalesce(json_agg(n), '[]') from (select o.id, o.name from others o where o.id <> a.id order by o.id limit 20) n),
    'artifact', (
      select json_build_object('id', f.id, 'version', f.version, 'type', f.type, 'metadata', f.metadata, 'size_bytes', f.size_bytes,
        'todo_id', f.todo_id, 'created_at', f.created_at, 'content', null)
      from public.artifacts f where f.stack_id = a.id order by f.version desc limit 1))
  from clock, public.agent_stacks a join public.stack_schedule s on s.stack_id = a.id
  where a.id = any (stacks)
$$;

create function public.verbs_version(request jsonb default '{}') returns jsonb
language sql stable set search_path = '' as $$ select jsonb_build_object('v', 1, 'version', 1) $$;

-- {v, worker, max, lease_ms, cadence_ms, stack_id?} -> {v, now, next_wake_at, stacks: [...]}
-- Two statements in this order: lease, then read the snapshots, so that they are never older than the lease.
create function public.claim_due_stacks(request jsonb) returns json
language plpgsql set search_path = '' as $$
declare
  t timestamptz := internal.clock();
  chosen uuid := request ->> 'stack_id';
  claimed uuid[];
  orphaned uuid[];
  found_stacks json;
begin
  perform internal.open_request(request, 'worker', 'max', 'lease_ms', 'cadence_ms');

  -- A running stack is claimable when it is due and nobody's lease holds it; a minute's wait outweighs two priorities.
  select array_agg(c.id) into claimed from (
    select a.id
    from public.agent_stacks a join public.stack_schedule s on s.stack_id = a.id
    where coalesce(s.lease_expires_at, '-infinity') <= t
      and case
        when chosen is not null then a.id = chosen
        else a.execution_state = 'running'
          and (s.due_at <= t or exists (select from internal.late_wakes w where w.stack_id = a.id))
      end
    order by a.priority + extract(epoch from t - coalesce(s.due_at, t)) / 30 desc, s.due_at, a.id
    limit least((request ->> 'max')::integer, 100)
    for no key update of a, s skip locked
  ) c;

  if claimed is not null then
    delete from internal.late_wakes where stack_id = any (claimed);
    select array_agg(distinct e.stack_id) into orphaned
      from public.agent_executions e where e.stack_id = any (claimed) and e.status = 'running';
    if orphaned is not null then
      perform internal.release_work(orphaned, 'abandoned');
    end if;
    update public.stack_schedule set
        fence = fence + 1, lease_owner = (request ->> 'worker')::uuid, claimed_at = t,
        lease_expires_at = t + make_interval(secs => (request ->> 'lease_ms')::numeric::double precision / 1000),
        by_hand = chosen is not null,
        due_at = coalesce(due_at, t)   -- if this worker dies, the end of its lease must find the stack due
      where stack_id = any (claimed);
    select json_agg(json_build_object(
        'stack_id', s.stack_id, 'fence', s.fence, 'wakes', s.wakes, 'due_at', s.due_at, 'lease_expires_at', s.lease_expires_at,
        'overruns', s.overruns, 'snapshot', p.snapshot) order by s.due_at)
      into found_stacks
      from public.stack_schedule s
      join internal.snapshots(claimed, (request ->> 'cadence_ms')::integer) p on p.stack_id = s.stack_id;
  end if;

  return json_build_object('v', 1, 'now', t, 'next_wake_at', internal.next_wake(), 'stacks', coalesce(found_stacks, '[]'));
end $$;

-- {v, worker, runs: [{run_id, stack_id, fence, agent, priority, reason, key, work_at, item, needs_artifact}]}
-- -> {v, now, runs: [{run_id, verdict, reason, retry_at, attempt, artifact}]}
create function public.begin_runs(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  t timestamptz := internal.clock();
  held jsonb;
  r record;
  attempt smallint;
  refusal text;
  why text;
  retry timestamptz;
  answers jsonb := '[]';
  begun jsonb := '[]';
begin
  perform internal.open_request(request, 'worker', 'runs');
  held := internal.lock_stacks(array(select (e ->> 'stack_id')::uuid from jsonb_array_elements(request -> 'runs') e));

  for r in
    select x.*, held -> x.stack_id::text as stack, p.id is not null as known, p.attempt as known_attempt, p.status as known_status,
      array(select jsonb_array_elements_text(x.item -> 'ids'))::uuid[] as ids
    from jsonb_to_recordset(request -> 'runs') as x(run_id uuid, stack_id uuid, fence bigint, agent text, priority smallint,
      reason text, key text, work_at timestamptz, item jsonb, needs_artifact boolean)
    left join public.agent_executions p on p.id = x.run_id
  loop
    attempt := coalesce(r.known_attempt, 1);
    refusal := null;
    why := null;
    retry := null;
    if r.known then
      if r.known_status <> 'running' then
        refusal := 'stale';
        why := 'this run already ended as ' || r.known_status;
      end if;
    elsif r.stack is null then
      if exists (select from public.agent_stacks a where a.id = r.stack_id) then
        refusal := 'busy';
        why := 'somebody else is writing to the stack';
      else
        refusal := 'stopped';
        why := 'the stack was deleted';
      end if;
    elsif (r.stack ->> 'fence')::bigint <> r.fence then
      refusal := case when r.stack ->> 'state' = 'stopped' then 'stopped' else 'stale' end;
      why := 'the fence is ' || (r.stack ->> 'fence') || ', the run''s is ' || r.fence;
    elsif r.stack ->> 'state' = 'paused' and not (r.stack ->> 'by_hand')::boolean then
      refusal := 'paused';
      why := 'the stack is paused';
    elsif r.stack ->> 'state' <> 'running' and not (r.stack ->> 'by_hand')::boolean then
      refusal := 'stopped';
      why := 'the stack is ' || (r.stack ->> 'state');
    elsif r.item ->> 'kind' = 'todo' then
      update public.todos d set status = 'in_progress', run_id = r.run_id, attempts = d.attempts + 1
        where d.id = (
          select w.id from public.todos w
          where w.id = r.ids[1] and w.stack_id = r.stack_id and w.status = 'pending' and coalesce(w.available_at, t) <= t
          for no key update skip locked)
        returning d.attempts into attempt;
      if not found then
        refusal := 'taken';
      end if;
    elsif r.item ->> 'kind' = 'visitor' then
      with taken as (
        update public.user_messages u set status = 'claimed', run_id = r.run_id, attempts = u.attempts + 1
        where u.id = any (r.ids) and u.stack_id = r.stack_id and u.status = 'waiting' and coalesce(u.available_at, t) <= t
        returning u.attempts
      ) select max(taken.attempts) into attempt from taken;
      if attempt is null then
        refusal := 'taken';
      end if;
    elsif r.item ->> 'kind' = 'message' then
      with taken as (
        insert into public.message_reads as m (message_id, stack_id, status, attempts, run_id)
        select g.id, r.stack_id, 'claimed', 1, r.run_id from public.messages g where g.id = any (r.ids)
        on conflict (message_id, stack_id) do update set status = 'claimed', attempts = m.attempts + 1, run_id = excluded.run_id
          where m.status = 'waiting' and coalesce(m.available_at, t) <= t
        returning m.attempts
      ) select max(taken.attempts) into attempt from taken;
      if attempt is null then
        refusal := 'taken';
      end if;
    elsif r.item is not null and r.item <> 'null' then
      raise exception 'the item of run % has the kind "%": write todo, visitor or message', r.run_id, r.item ->> 'kind' using errcode = 'SB001';
    end if;

    if refusal = 'taken' then
      why := 'the ' || (r.item ->> 'kind') || ' is no longer waiting';
    end if;
    answers := answers || jsonb_build_object('run_id', r.run_id, 'verdict', coalesce(refusal, 'begun'), 'reason', why,
      'retry_at', retry, 'attempt', coalesce(attempt, 1), 'artifact',
      case when refusal is null and r.needs_artifact then (
        select b.content from public.artifacts f join public.artifact_bodies b on b.artifact_id = f.id
        where f.stack_id = r.stack_id order by f.version desc limit 1) end);
    if refusal is null and not r.known then
      begun := begun || jsonb_build_object('id', r.run_id, 'stack_id', r.stack_id, 'agent_type', r.agent, 'fence', r.fence,
        'priority', r.priority, 'reason', r.reason, 'work_key', r.key, 'item', r.item, 'attempt', coalesce(attempt, 1), 'work_at', r.work_at);
    end if;
  end loop;

  if begun <> '[]' then
    insert into public.agent_executions
        (id, stack_id, agent_type, worker_id, fence, priority, reason, work_key, item, attempt, work_at, started_at)
      select b.id, b.stack_id, b.agent_type, (request ->> 'worker')::uuid, b.fence, b.priority, b.reason, b.work_key,
        nullif(b.item, 'null'), b.attempt, b.work_at, t
      from jsonb_to_recordset(begun) as b(id uuid, stack_id uuid, agent_type text, fence bigint, priority smallint,
        reason text, work_key text, item jsonb, attempt smallint, work_at timestamptz);
    insert into public.agent_states as g (stack_id, agent_type, last_run_at)
      select distinct b.stack_id, b.agent_type, t from jsonb_to_recordset(begun) as b(stack_id uuid, agent_type text)
      on conflict (stack_id, agent_type) do update set last_run_at = excluded.last_run_at;
    update public.stack_status s
      set activity = s.activity || b.activity, wait_reason = null, wait_until = null, updated_at = t
      from (
        select x.stack_id, jsonb_object_agg(x.agent_type, jsonb_build_object('reason', x.reason, 'since', t)) as activity
        from jsonb_to_recordset(begun) as x(stack_id uuid, agent_type text, reason text) group by x.stack_id) b
      where s.stack_id = b.stack_id;
  end if;
  return jsonb_build_object('v', 1, 'now', t, 'runs', answers);
end $$;

-- The effects of these runs, set-wise: the caller holds their stacks and has judged their fences. Raises when any row is refused.
create function internal.apply_changes(runs jsonb, t timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  changes jsonb;
begin
  select coalesce(jsonb_agg(c.change || jsonb_build_object(
      'run_id', r.run_id, 'stack_id', r.stack_id, 'author', r.agent, 'simulated', coalesce(r.simulated, false), 'n', c.n)), '[]')
    into changes
    from jsonb_to_recordset(runs) as r(run_id uuid, stack_id uuid, agent text, simulated boolean, changes jsonb)
    cross join lateral jsonb_array_elements(coalesce(nullif(r.changes, 'null'), '[]')) with ordinality as c(change, n);
  if changes = '[]' then
    return;
  end if;
  if exists (
    select from jsonb_to_recordset(changes) as c(op text) where c.op is null or c.op not in (
      'set_idea', 'set_phase', 'add_todo', 'update_todo', 'cancel_todo', 'finish_todo', 'publish_artifact', 'send_message',
      'answer_visitor', 'mark_read', 'remember', 'advise', 'clear_inbox'))
  then
    raise exception 'unknown change %', (select jsonb_agg(distinct c.op) from jsonb_to_recordset(changes) as c(op text))
      using errcode = 'SB001';
  end if;

  insert into public.project_ideas as i (stack_id, title, description, created_by, created_at)
    select distinct on (c.stack_id) c.stack_id, c.title, coalesce(c.description, ''), c.author, t
    from jsonb_to_recordset(changes) as c(op text, stack_id uuid, author text, title text, description text, n integer)
    where c.op = 'set_idea' order by c.stack_id, c.n desc
    on conflict (stack_id) do update set title = excluded.title, description = excluded.description;

  update public.todos d set content = coalesce(c.content, d.content), priority = coalesce(c.priority, d.priority)
    from jsonb_to_recordset(changes) as c(op text, stack_id uuid, id uuid, content text, priority smallint)
    where c.op = 'update_todo' and d.id = c.id and d.stack_id = c.stack_id and d.status in ('pending', 'failed');
  update public.todos d set status = 'cancelled'
    from jsonb_to_recordset(changes) as c(op text, stack_id uuid, id uuid)
    where c.op = 'cancel_todo' and d.id = c.id and d.stack_id = c.stack_id and d.status in ('pending', 'failed');
  update public.todos d set status = 'completed', completed_at = t, run_id = null, last_error = null
    from jsonb_to_recordset(changes) as c(op text, stack_id uuid, id uuid, run_id uuid)
    where c.op = 'finish_todo' and d.id = c.id and d.stack_id = c.stack_id and d.run_id = c.run_id;
  -- Microseconds apart, so that the order of the planner's list survives as the order of creation.
  insert into public.todos (stack_id, content, priority, assigned_to, assigned_by, created_at)
    select c.stack_id, c.content, coalesce(c.priority, 5), coalesce(c.assigned_to, 'builder'), c.author,
      t + c.n * interval '1 microsecond'
    from jsonb_to_recordset(changes) as c(op text, stack_id uuid, author text, content text, priority smallint, assigned_to text, n integer)
    where c.op = 'add_todo' order by c.stack_id, c.n;

  with fresh as (
    select gen_random_uuid() as id, c.stack_id, c.author, c.content, c.description, d.id as todo_id, c.run_id, c.simulated,
      coalesce((select max(f.version) from public.artifacts f where f.stack_id = c.stack_id), 0)
        + row_number() over (partition by c.stack_id order by c.n) as version
    from jsonb_to_recordset(changes) as c(op text, stack_id uuid, author text, content text, description text, todo_id uuid,
      run_id uuid, simulated boolean, n integer)
    left join public.todos d on d.id = c.todo_id and d.stack_id = c.stack_id
    where c.op = 'publish_artifact'
  ), published as (
    insert into public.artifacts (id, stack_id, version, created_by, size_bytes, metadata, simulated, todo_id, run_id, created_at)
    select n.id, n.stack_id, n.version, n.author, octet_length(n.content), jsonb_build_object('description', coalesce(n.description, '')),
      n.simulated, n.todo_id, n.run_id, t
    from fresh n
    returning id
  )
  insert into public.artifact_bodies (artifact_id, content)
    select p.id, n.content from published p join fresh n on n.id = p.id;

  insert into public.messages (from_stack_id, to_stack_id, from_agent_type, content, message_type, hop, simulated, run_id, created_at)
    select c.stack_id, c.to_stack_id, c.author, c.content, case when c.to_stack_id is null then 'broadcast' else 'direct' end,
      coalesce(c.hop, 0), c.simulated, c.run_id, t
    from jsonb_to_recordset(changes) as c(op text, stack_id uuid, author text, to_stack_id uuid, content text, hop smallint,
      simulated boolean, run_id uuid)
    where c.op = 'send_message' and (c.to_stack_id is null or exists (select from public.agent_stacks a where a.id = c.to_stack_id));
  update public.stack_schedule s set due_at = least(s.due_at, t), wakes = s.wakes + 1
    where s.stack_id in (
      select c.to_stack_id from jsonb_to_recordset(changes) as c(op text, to_stack_id uuid) where c.op = 'send_message');

  -- Exactly one answer: only the run that owns the question may give it.
  with answers as (
    select distinct on (c.message_id) gen_random_uuid() as id, c.stack_id, c.author, c.content, c.message_id, c.simulated, c.run_id
    from jsonb_to_recordset(changes) as c(op text, stack_id uuid, author text, content text, message_id uuid, simulated boolean, run_id uuid)
    join public.user_messages u on u.id = c.message_id and u.stack_id = c.stack_id and u.run_id = c.run_id and u.status = 'claimed'
    where c.op = 'answer_visitor'
  ), written as (
    insert into public.messages (id, from_stack_id, from_agent_type, content, message_type, simulated, run_id, created_at)
    select a.id, a.stack_id, a.author, a.content, 'visitor', a.simulated, a.run_id, t from answers a
    returning id
  )
  update public.user_messages u set status = 'answered', response_id = w.id, answered_at = t, run_id = null, last_error = null
    from written w join answers a on a.id = w.id where u.id = a.message_id;

  insert into public.message_reads as m (message_id, stack_id, status, read_at)
    select distinct g.id, c.stack_id, 'read', t
    from jsonb_to_recordset(changes) as c(op text, stack_id uuid, message_ids jsonb)
    join public.messages g on c.message_ids ? g.id::text
    where c.op = 'mark_read' and g.id = any (
      array(select x::uuid from jsonb_to_recordset(changes) as i(message_ids jsonb), jsonb_array_elements_text(i.message_ids) x))
    on conflict (message_id, stack_id) do update set status = 'read', read_at = excluded.read_at, run_id = null, last_error = null;

  -- Own memory by key; other agents' inboxes by id; of the own inbox only what was seen is cleared.
  -- A run may change one key several times: its last word counts, and within one change `set` comes after `drop`.
  update public.agent_states g set updated_at = t, memory = (g.memory - c.keys) || coalesce(c.kept, '{}')
    from (
      select l.stack_id, l.author, array_agg(l.key) as keys, jsonb_object_agg(l.key, l.value) filter (where l.value is not null) as kept
      from (
        select distinct on (x.stack_id, x.author, w.key) x.stack_id, x.author, w.key, w.value
        from jsonb_to_recordset(changes) as x(op text, stack_id uuid, author text, set jsonb, drop jsonb, n integer)
        cross join lateral (
          select d.key, null::jsonb as value from jsonb_array_elements_text(coalesce(nullif(x.drop, 'null'), '[]')) as d(key)
          union all
          select e.key, e.value from jsonb_each(coalesce(nullif(x.set, 'null'), '{}')) e) w
        where x.op = 'remember'
        order by x.stack_id, x.author, w.key, x.n desc, w.value is null) l
      group by l.stack_id, l.author) c
    where g.stack_id = c.stack_id and g.agent_type = c.author;
  update public.agent_states g set updated_at = t, inbox = g.inbox - c.ids
    from (
      select x.stack_id, x.author, array_agg(i.id) as ids
      from jsonb_to_recordset(changes) as x(op text, stack_id uuid, author text, ids jsonb)
      cross join lateral jsonb_array_elements_text(x.ids) as i(id)
      where x.op = 'clear_inbox' group by x.stack_id, x.author) c
    where g.stack_id = c.stack_id and g.agent_type = c.author;
  update public.agent_states g set updated_at = t, inbox = g.inbox || c.items
    from (
      select x.stack_id, x.agent, jsonb_object_agg(i.key, i.value) as items
      from jsonb_array_elements(changes) e
      cross join lateral (select (e ->> 'stack_id')::uuid as stack_id, e ->> 'agent' as agent) x
      cross join lateral jsonb_each(e -> 'items') i
      where e ->> 'op' = 'advise'
      group by x.stack_id, x.agent) c
    where g.stack_id = c.stack_id and g.agent_type = c.agent;

  update public.agent_stacks a set phase = c.phase, execution_state = case when c.phase = 'complete' then 'idle' else a.execution_state end
    from (
      select distinct on (x.stack_id) x.stack_id, x.phase from jsonb_to_recordset(changes) as x(op text, stack_id uuid, phase text, n integer)
      where x.op = 'set_phase' order by x.stack_id, x.n desc) c
    where a.id = c.stack_id and a.phase is distinct from c.phase;
end $$;

-- What everybody may read of an error; the whole of it is in the run's row, for operators.
create function internal.shown_error(error text) returns text
language sql immutable set search_path = '' as $$
  select case when error like 'Traceback%' then 'a bug in the agent; its run has the details' else left(error, 500) end
$$;

-- What these runs owned and did not finish goes back: a failure waits retry_ms and counts, the third one is final and visible;
-- anything else (the model was away, the stack was stopped) gives the attempt back.
create function internal.return_items(runs jsonb, t timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
  most constant integer := 3;
begin
  update public.todos d set run_id = null,
      attempts = d.attempts - case when r.status = 'failed' then 0 else 1 end,
      status = case when r.status = 'failed' and d.attempts >= most then 'failed' else 'pending' end,
      available_at = t + make_interval(secs => coalesce(r.retry_ms, 0) / 1000.0),
      last_error = coalesce(internal.shown_error(r.error), d.last_error)
    from jsonb_to_recordset(runs) as r(run_id uuid, status text, error text, retry_ms double precision)
    where d.run_id = r.run_id;
  update public.user_messages u set run_id = null,
      attempts = u.attempts - case when r.status = 'failed' then 0 else 1 end,
      status = case when r.status = 'failed' and u.attempts >= most then 'failed' else 'waiting' end,
      available_at = t + make_interval(secs => coalesce(r.retry_ms, 0) / 1000.0),
      last_error = coalesce(internal.shown_error(r.error), u.last_error)
    from jsonb_to_recordset(runs) as r(run_id uuid, status text, error text, retry_ms double precision)
    where u.run_id = r.run_id;
  update public.message_reads m set run_id = null,
      attempts = m.attempts - case when r.status = 'failed' then 0 else 1 end,
      status = case when r.status = 'failed' and m.attempts >= most then 'failed' else 'waiting' end,
      available_at = t + make_interval(secs => coalesce(r.retry_ms, 0) / 1000.0),
      last_error = coalesce(internal.shown_error(r.error), m.last_error)
    from jsonb_to_recordset(runs) as r(run_id uuid, status text, error text, retry_ms double precision)
    where m.run_id = r.run_id;
end $$;

-- Outcomes, traces and contexts of judged runs.
create function internal.end_runs(runs jsonb, t timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  update public.agent_executions e set status = r.status, error = r.error, completed_at = t
    from jsonb_to_recordset(runs) as r(run_id uuid, status text, error text) where e.id = r.run_id;
  perform internal.return_items(runs, t);
  update public.agent_states g set current_context = r.context, updated_at = t
    from jsonb_to_recordset(runs) as r(stack_id uuid, agent text, context jsonb)
    where g.stack_id = r.stack_id and g.agent_type = r.agent and jsonb_typeof(r.context) = 'object';
  insert into public.agent_traces (stack_id, agent_type, thought, action, result, simulated, run_id, created_at)
    select r.stack_id, r.agent, left(coalesce(r.trace ->> 'thought', ''), 1000), r.trace ->> 'action', coalesce(r.trace -> 'result', '{}'),
      coalesce(r.simulated, false), r.run_id, clock_timestamp()
    from jsonb_to_recordset(runs) as r(stack_id uuid, agent text, trace jsonb, simulated boolean, run_id uuid)
    where jsonb_typeof(r.trace) = 'object';
end $$;

-- The stacks of these runs of which somebody else holds a row that the runs will write: a person's open or bulk UPDATE.
-- What is free is locked here, so that the commit waits for no row, in whatever order others take theirs.
create function internal.stacks_in_other_hands(runs jsonb, stacks uuid[]) returns text[]
language plpgsql set search_path = '' as $$
declare
  ids uuid[] := array(select (e ->> 'run_id')::uuid from jsonb_array_elements(runs) e);
  changes jsonb := (
    select coalesce(jsonb_agg(c || jsonb_build_object('stack_id', e -> 'stack_id')), '[]')
    from jsonb_array_elements(runs) e, jsonb_array_elements(coalesce(nullif(e -> 'changes', 'null'), '[]')) c);
  todos uuid[] := array(
    select (c ->> 'id')::uuid from jsonb_array_elements(changes) c
      where c ->> 'op' in ('update_todo', 'cancel_todo', 'finish_todo') and c ->> 'id' ~ '^[0-9a-fA-F-]{36}$'
    union
    select d.id from public.todos d where d.stack_id = any (stacks) and d.status = 'in_progress' and d.run_id = any (ids));
  ideas uuid[] := array(select (c ->> 'stack_id')::uuid from jsonb_array_elements(changes) c where c ->> 'op' = 'set_idea');
  got_todos uuid[] := array(
    select l.id from (select d.id from public.todos d where d.id = any (todos) order by d.id for no key update skip locked) l);
  got_ideas uuid[] := array(
    select l.stack_id from (
      select i.stack_id from public.project_ideas i where i.stack_id = any (ideas) order by i.stack_id for no key update skip locked) l);
  got_lines uuid[] := array(
    select l.id from (
      select u.id from public.user_messages u where u.stack_id = any (stacks) and u.status = 'claimed' and u.run_id = any (ids)
      order by u.id for no key update skip locked) l);
begin
  return array(
    select d.stack_id::text from public.todos d where d.id = any (todos) and d.id <> all (got_todos)
    union
    select i.stack_id::text from public.project_ideas i where i.stack_id = any (ideas) and i.stack_id <> all (got_ideas)
    union
    select u.stack_id::text from public.user_messages u
      where u.stack_id = any (stacks) and u.status = 'claimed' and u.run_id = any (ids) and u.id <> all (got_lines));
end $$;

-- {v, worker, runs: [...], settlements: [...]} -> {v, now, next_wake_at, runs: [{run_id, verdict, reason}], settled: [{stack_id, verdict}]}
create function public.commit_runs(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  t timestamptz := internal.clock();
  runs jsonb := coalesce(nullif(request -> 'runs', 'null'), '[]');
  settlements jsonb := coalesce(nullif(request -> 'settlements', 'null'), '[]');
  held jsonb;
  judged jsonb;
  valid jsonb;
  one jsonb;
  verdicts jsonb := '{}';
  settled jsonb;
begin
  perform internal.open_request(request, 'worker');
  if jsonb_array_length(runs) > 50 then
    raise exception 'a commit carries at most 50 runs, this one has %: send it in parts', jsonb_array_length(runs) using errcode = 'SB001';
  end if;

  -- The ledger first, whatever the fence says: money is spent.
  insert into public.llm_calls (id, run_id, stack_id, agent_type, attempt, provider, model, tokens_in, tokens_out, tokens_cached,
      cost_usd, latency_ms, finish_reason, error, simulated, created_at)
    select c.id, r.run_id, r.stack_id, r.agent, c.attempt, c.provider, c.model, coalesce(c.tokens_in, 0), coalesce(c.tokens_out, 0),
      coalesce(c.tokens_cached, 0), coalesce(c.cost_usd, 0), coalesce(c.latency_ms, 0), c.finish_reason, c.error, coalesce(c.simulated, false), t
    from jsonb_to_recordset(runs) as r(run_id uuid, stack_id uuid, agent text, calls jsonb)
    cross join lateral jsonb_to_recordset(coalesce(nullif(r.calls, 'null'), '[]')) as c(id uuid, attempt smallint, provider text, model text,
      tokens_in integer, tokens_out integer, tokens_cached integer, cost_usd numeric, latency_ms integer, finish_reason text, error text,
      simulated boolean)
    on conflict (id) do nothing;
  insert into public.llm_replies (call_id, body)
    select c.id, c.reply
    from jsonb_to_recordset(runs) as r(calls jsonb)
    cross join lateral jsonb_to_recordset(coalesce(nullif(r.calls, 'null'), '[]')) as c(id uuid, reply text)
    where c.reply is not null
    on conflict (call_id) do nothing;

  held := internal.lock_stacks(array(
    select (e ->> 'stack_id')::uuid from jsonb_array_elements(runs || settlements) e
    union
    select (c ->> 'to_stack_id')::uuid from jsonb_array_elements(runs) e, jsonb_array_elements(coalesce(nullif(e -> 'changes', 'null'), '[]')) c
      where c ->> 'op' = 'send_message' and c ->> 'to_stack_id' is not null));
  held := held - internal.stacks_in_other_hands(runs, array(select k::uuid from jsonb_object_keys(held) k));

  -- One verdict a run. A run seen before has its old one; the rest is the fence's word.
  select coalesce(jsonb_object_agg(r.run_id, jsonb_build_object('verdict', case
      when e.id is not null and e.status <> 'running' then
        case when e.status in ('completed', 'deferred') then 'done' when e.status = 'abandoned' then 'stale' else e.status end
      when s.stack is null and a.id is not null then 'busy'
      when a.id is null then 'stopped'
      when (s.stack ->> 'fence')::bigint <> r.fence then case when s.stack ->> 'state' = 'stopped' then 'stopped' else 'stale' end
      when e.id is null then 'stale'
      when r.waits_for_recipient then 'busy'
      else 'valid' end,
      'reason', case when e.id is not null and e.status <> 'running' then e.error end)), '{}')
    into judged
    from (
      select x.run_id, x.stack_id, x.fence, exists (
        select from jsonb_array_elements(coalesce(nullif(x.changes, 'null'), '[]')) c
        where c ->> 'op' = 'send_message' and c ->> 'to_stack_id' is not null and not held ? (c ->> 'to_stack_id')
          and exists (select from public.agent_stacks b where b.id = (c ->> 'to_stack_id')::uuid)) as waits_for_recipient
      from jsonb_to_recordset(runs) as x(run_id uuid, stack_id uuid, fence bigint, changes jsonb)) r
    cross join lateral (select held -> r.stack_id::text as stack) s
    left join public.agent_stacks a on a.id = r.stack_id
    left join public.agent_executions e on e.id = r.run_id;

  select coalesce(jsonb_agg(e), '[]') into valid from jsonb_array_elements(runs) e
    where judged -> (e ->> 'run_id') ->> 'verdict' = 'valid';

  if valid <> '[]' then
    begin
      perform internal.apply_changes((select coalesce(jsonb_agg(e), '[]') from jsonb_array_elements(valid) e where e ->> 'status' = 'completed'), t);
      perform internal.end_runs(valid, t);
      select jsonb_object_agg(e ->> 'run_id', jsonb_build_object('verdict', 'done', 'reason', null)) into verdicts from jsonb_array_elements(valid) e;
    exception when integrity_constraint_violation or data_exception or raise_exception or sqlstate 'SB001' then
      -- Somebody's changes were refused: one by one, so that only that run pays.
      for one in select e from jsonb_array_elements(valid) e loop
        begin
          if one ->> 'status' = 'completed' then
            perform internal.apply_changes(jsonb_build_array(one), t);
          end if;
          perform internal.end_runs(jsonb_build_array(one), t);
          verdicts := verdicts || jsonb_build_object(one ->> 'run_id', jsonb_build_object('verdict', 'done', 'reason', null));
        exception when integrity_constraint_violation or data_exception or raise_exception or sqlstate 'SB001' then
          verdicts := verdicts || jsonb_build_object(one ->> 'run_id', jsonb_build_object('verdict', 'failed', 'reason', sqlerrm));
          perform internal.end_runs(jsonb_build_array(one
            || jsonb_build_object('status', 'failed', 'error', 'the database refused the changes: ' || sqlerrm, 'trace', null, 'context', null,
              'retry_ms', coalesce(nullif(one -> 'retry_ms', 'null'), '5000'))), t);
        end;
      end loop;
    end;
    judged := judged || verdicts;
  end if;

  -- Stale runs still get their end, where they are on record.
  update public.agent_executions e set status = case when j.value ->> 'verdict' = 'stopped' then 'stopped' else 'stale' end, completed_at = t
    from jsonb_each(judged) j where e.id = j.key::uuid and e.status = 'running' and j.value ->> 'verdict' in ('stale', 'stopped');

  with asked as (
    select x.*, held -> x.stack_id::text as stack
    from jsonb_to_recordset(settlements) as x(stack_id uuid, fence bigint, wakes bigint, due_in_ms double precision, wait_reason text,
      wait_ms double precision)
  ), settle as (
    update public.stack_schedule s set
      lease_owner = null, lease_expires_at = null, by_hand = false, total_cycles = s.total_cycles + 1, last_executed_at = t,
      overruns = s.overruns + coalesce(greatest(floor(extract(epoch from t - s.claimed_at)
        / nullif(coalesce(a.cadence_s, (request ->> 'cadence_ms')::numeric / 1000), 0)), 0), 0)::bigint,
      due_at = case
        when s.wakes <> q.wakes then t
        when exists (select from jsonb_array_elements(runs) e where e ->> 'stack_id' = s.stack_id::text
          and judged -> (e ->> 'run_id') ->> 'verdict' = 'failed') then t + interval '5 seconds'
        when q.due_in_ms is null or a.execution_state = 'idle' then null
        else t + make_interval(secs => q.due_in_ms / 1000) end
    from asked q join public.agent_stacks a on a.id = q.stack_id
    where s.stack_id = q.stack_id and q.stack is not null and s.fence = q.fence and s.lease_owner is not null
    returning s.stack_id
  )
  select coalesce(jsonb_agg(jsonb_build_object('stack_id', q.stack_id, 'verdict', case
      when d.stack_id is not null or (q.stack ->> 'fence')::bigint = q.fence then 'done'   -- a repeated one did its work before
      when q.stack is null and exists (select from public.agent_stacks a where a.id = q.stack_id) then 'busy'
      else 'stale' end)), '[]')
    into settled from asked q left join settle d on d.stack_id = q.stack_id;

  -- What people see of it, in one write a stack and only where it changes.
  update public.stack_status s set
      activity = s.activity - n.over, updated_at = t,
      wait_reason = case when n.settled and n.state = 'running' then n.wait_reason else s.wait_reason end,
      wait_until = case when n.settled and n.state = 'running' then n.wait_until else s.wait_until end
    from (
      select k.key::uuid as stack_id, a.execution_state as state,   -- as it is now: a run may have completed the project
        array(select e ->> 'agent' from jsonb_array_elements(runs) e
          where e ->> 'stack_id' = k.key and judged -> (e ->> 'run_id') ->> 'verdict' in ('done', 'failed')) as over,
        q.stack_id is not null as settled, q.wait_reason, t + make_interval(secs => q.wait_ms / 1000) as wait_until
      from jsonb_each(held) k
      join public.agent_stacks a on a.id = k.key::uuid
      left join jsonb_to_recordset(settlements) as q(stack_id uuid, fence bigint, wait_reason text, wait_ms double precision)
        on q.stack_id = k.key::uuid and q.fence = (k.value ->> 'fence')::bigint) n
    where s.stack_id = n.stack_id
      and (s.activity ?| n.over or (n.settled and n.state = 'running'
        and (s.wait_reason is distinct from n.wait_reason or s.wait_until is distinct from n.wait_until)));

  return jsonb_build_object('v', 1, 'now', t, 'next_wake_at', internal.next_wake(), 'settled', settled, 'runs', (
    select coalesce(jsonb_agg(jsonb_build_object('run_id', j.key, 'verdict', j.value ->> 'verdict', 'reason', j.value ->> 'reason')), '[]')
    from jsonb_each(judged) j));
end $$;

-- {v, worker, name, version, slots, lease_ms, leases: [{stack_id, fence}], stopping?} -> {v, now, lost: [...], halted: [...]}
create function public.heartbeat(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  t timestamptz := internal.clock();
  me uuid := request ->> 'worker';
  leases jsonb := coalesce(nullif(request -> 'leases', 'null'), '[]');
begin
  perform internal.open_request(request, 'worker', 'name', 'version', 'slots', 'lease_ms');
  insert into public.workers as w (id, name, version, slots, started_at, heartbeat_at)
    values (me, request ->> 'name', request ->> 'version', (request ->> 'slots')::integer, t, t)
    on conflict (id) do update set heartbeat_at = t, name = excluded.name, version = excluded.version, slots = excluded.slots,
      stopped_at = case when request -> 'stopping' = 'true' then t end;
  -- A row that is locked right now is being written by its own worker or a person: it is extended at the next beat.
  update public.stack_schedule s set lease_expires_at = t + make_interval(secs => (request ->> 'lease_ms')::double precision / 1000)
    where s.stack_id in (
      select h.stack_id
      from jsonb_to_recordset(leases) as l(stack_id uuid, fence bigint)
      join public.stack_schedule h on h.stack_id = l.stack_id and h.fence = l.fence and h.lease_owner = me
      order by h.stack_id for no key update of h skip locked);
  return jsonb_build_object('v', 1, 'now', t,
    'lost', (
      select coalesce(jsonb_agg(l.stack_id), '[]') from jsonb_to_recordset(leases) as l(stack_id uuid, fence bigint)
      left join public.stack_schedule h on h.stack_id = l.stack_id
      where h.stack_id is null or h.fence <> l.fence or h.lease_owner is distinct from me),
    'halted', (
      select coalesce(jsonb_agg(jsonb_build_object('stack_id', a.id, 'execution_state', a.execution_state)), '[]')
      from jsonb_to_recordset(leases) as l(stack_id uuid, fence bigint)
      join public.agent_stacks a on a.id = l.stack_id
      join public.stack_schedule h on h.stack_id = l.stack_id
      where a.execution_state <> 'running' and not h.by_hand));
end $$;

-- {v, traces_days, runs_days, calls_days, max} -> {v, deleted: {table: n}}; at most `max` rows a table and call.
create function public.prune(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  t timestamptz := internal.clock();
  most integer := least(coalesce((request ->> 'max')::integer, 5000), 50000);
  deleted jsonb := '{}';
  n integer;
begin
  perform internal.open_request(request, 'traces_days', 'runs_days', 'calls_days');
  delete from public.agent_traces where id in (
    select x.id from public.agent_traces x where x.created_at < t - make_interval(days => (request ->> 'traces_days')::integer) limit most);
  get diagnostics n = row_count;
  deleted := deleted || jsonb_build_object('agent_traces', n);
  delete from public.agent_executions where id in (
    select x.id from public.agent_executions x
    where x.completed_at < t - make_interval(days => (request ->> 'runs_days')::integer) limit most);
  get diagnostics n = row_count;
  deleted := deleted || jsonb_build_object('agent_executions', n);
  delete from public.llm_calls where id in (
    select x.id from public.llm_calls x where x.created_at < t - make_interval(days => (request ->> 'calls_days')::integer) limit most);
  get diagnostics n = row_count;
  deleted := deleted || jsonb_build_object('llm_calls', n);
  delete from internal.chat_buckets where key in (
    select b.key from internal.chat_buckets b where b.refilled_at < t - interval '1 hour' limit most for update skip locked);
  delete from public.workers where heartbeat_at < t - make_interval(days => (request ->> 'runs_days')::integer);
  get diagnostics n = row_count;
  deleted := deleted || jsonb_build_object('workers', n);
  return jsonb_build_object('v', 1, 'deleted', deleted);
end $$;

revoke all on all functions in schema internal from public, anon, authenticated;
grant execute on function internal.is_operator(), internal.can_operate(), internal.clock() to anon, authenticated, service_role;
grant execute on all functions in schema internal to service_role;
grant select, insert, update, delete on all tables in schema internal to service_role;
grant usage, select on all sequences in schema internal to service_role;
revoke all on function public.verbs_version(jsonb), public.claim_due_stacks(jsonb), public.begin_runs(jsonb), public.commit_runs(jsonb),
  public.heartbeat(jsonb), public.prune(jsonb) from public, anon, authenticated;
grant execute on function public.verbs_version(jsonb), public.claim_due_stacks(jsonb), public.begin_runs(jsonb), public.commit_runs(jsonb),
  public.heartbeat(jsonb), public.prune(jsonb) to service_role;
