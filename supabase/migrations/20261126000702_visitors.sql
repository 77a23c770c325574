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
