-- Several visitors of one stack are answered at the same time, each by a run of its own, and each with what was said to this visitor
-- before, however many others came since.

create index user_messages_sender on public.user_messages (stack_id, sender_name, created_at desc) where status = 'answered';

-- As before, where an agent may have several runs in a stage.
create or replace function internal.write_states(runs internal.finished_run[], changes internal.change[], t timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  insert into public.agent_states as s (stack_id, agent_type, memory, inbox, current_context, last_run_at, updated_at)
    select r.stack_id, r.agent,
      coalesce(g.memory - m.keys, g.memory, '{}') || coalesce(m.kept, '{}'),
      coalesce(g.inbox - i.ids, g.inbox, '{}'),
      case when jsonb_typeof(r.context) = 'object' then r.context else coalesce(g.current_context, '{}') end,
      e.started_at, t
    from (   -- an agent that ran several times has one state: the context of its last run
      select distinct on (x.stack_id, x.agent) x.* from unnest(runs) with ordinality as x
      order by x.stack_id, x.agent, x.ordinality desc) r
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

-- As before, and an agent is busy until the last of its runs is over.
create or replace function internal.show_status(settlements internal.settlement[], held internal.held_stack[], landed internal.verdict[], t timestamptz)
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
        select l.stack_id, array_agg(l.agent) as agents from unnest(landed) l
        where not exists (   -- its other runs of the stage
          select from public.agent_executions e where e.stack_id = l.stack_id and e.agent_type = l.agent and e.status = 'running')
        group by l.stack_id) o on o.stack_id = h.id
      left join unnest(settlements) q on q.stack_id = h.id and q.fence = h.fence) n
    where s.stack_id = n.stack_id
      and (s.activity ?| n.over
        or (n.settled and (s.wait_reason is distinct from n.wait_reason or s.wait_until is distinct from n.wait_until)));
end $$;

-- As before, with the earlier conversations of those who wait.
create or replace function internal.sight(stacks uuid[], cadence_ms integer, t timestamptz) returns json
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
                where u.id in (
                  (select r.id from public.user_messages r
                    where r.stack_id = a.id and r.status = 'answered' order by r.created_at desc limit 10)
                  union   -- and what those who wait were told before
                  select e.id
                  from (
                    select distinct w.sender_name from public.user_messages w where w.stack_id = a.id and w.status = 'waiting' limit 20) v
                  cross join lateral (
                    select r.id from public.user_messages r
                    where r.stack_id = a.id and r.status = 'answered' and r.sender_name = v.sender_name
                    order by r.created_at desc limit 5) e)) x),
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
            'memory_counts', (
              select coalesce(json_object_agg(k.agent_type, k.items), '{}') from (
                select e.agent_type, count(*) as items from public.memories e where e.stack_id = a.id group by e.agent_type) k),
            'artifact', (
              select json_build_object('id', f.id, 'version', f.version, 'type', f.type, 'metadata', f.metadata, 'size_bytes', f.size_bytes,
                'todo_id', f.todo_id, 'created_at', f.created_at, 'content', null)
              from public.artifacts f where f.stack_id = a.id order by f.version desc limit 1)) as snapshot) own
        where a.id = any (stacks))));
end $$;
