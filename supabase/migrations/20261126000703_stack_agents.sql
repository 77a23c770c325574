-- Who is on a stack's team: every installed agent, but for those that a row here takes out.

create table public.stack_agents (
  stack_id uuid not null references public.agent_stacks on delete cascade,
  agent_type text not null check (agent_type ~ '^[a-z][a-z0-9_]{0,39}$'),
  plays boolean not null default true,
  updated_at timestamptz not null default now(),
  primary key (stack_id, agent_type)
);
comment on table public.stack_agents is 'The composition of a stack''s team. Without a row an installed agent plays; a row that says plays = false takes it out.';

alter table public.stack_agents enable row level security;
revoke all on public.stack_agents from public, anon, authenticated;
grant select, insert, update, delete on public.stack_agents to service_role;
grant select on public.stack_agents to anon, authenticated;
grant insert (stack_id, agent_type, plays), update (plays), delete on public.stack_agents to authenticated;
create policy "everybody looks" on public.stack_agents for select to anon, authenticated using (true);
create policy "operators compose" on public.stack_agents for insert to authenticated with check ((select internal.can_operate()));
create policy "operators change" on public.stack_agents for update to authenticated
  using ((select internal.can_operate())) with check ((select internal.can_operate()));
create policy "operators restore" on public.stack_agents for delete to authenticated using ((select internal.can_operate()));

-- Whoever comes or goes, the stack looks at once what is to be done.
create function internal.team_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'INSERT' then
    perform internal.wake(new.stack_id);
  elsif tg_op = 'UPDATE' then
    new.updated_at := internal.clock();
    perform internal.wake_from_update(new.stack_id);
  elsif exists (select from public.agent_stacks a where a.id = old.stack_id) then   -- not where the stack itself goes
    perform internal.wake_from_update(old.stack_id);
  end if;
  return case when tg_op = 'DELETE' then old else new end;
end $$;
create trigger team_changed before insert or update or delete on public.stack_agents
  for each row execute function internal.team_changed();
revoke all on function internal.team_changed() from public, anon, authenticated;

-- As before, with who is not on the team, how many memories each agent has, and what those visitors who wait were told before.
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
            'absent', (
              select coalesce(json_agg(b.agent_type), '[]') from public.stack_agents b where b.stack_id = a.id and not b.plays),
            'memory_counts', (
              select coalesce(json_object_agg(k.agent_type, k.items), '{}') from (
                select e.agent_type, count(*) as items from public.memories e where e.stack_id = a.id group by e.agent_type) k),
            'artifact', (
              select json_build_object('id', f.id, 'version', f.version, 'type', f.type, 'metadata', f.metadata, 'size_bytes', f.size_bytes,
                'todo_id', f.todo_id, 'created_at', f.created_at, 'content', null)
              from public.artifacts f where f.stack_id = a.id order by f.version desc limit 1)) as snapshot) own
        where a.id = any (stacks))));
end $$;
