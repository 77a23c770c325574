-- What must be true of the tables at every moment that a transaction can see. One row a breach: what, and of which row.
with live as (select * from public.agent_executions where status = 'running')
select 'two runs of one agent at once' as what, format('%s %s', e.stack_id, e.agent_type) as row
  from live e group by e.stack_id, e.agent_type
  having count(*) > 1 and count(*) > count(distinct e.work_key) filter (where e.item ->> 'kind' = 'visitor')
union all
select 'a live run without its lease', format('run %s, its fence %s and worker %s, the stack''s %s and %s',
    e.id, e.fence, e.worker_id, s.fence, coalesce(s.lease_owner::text, 'none'))
  from live e join public.stack_schedule s using (stack_id)
  where e.fence <> s.fence or s.lease_owner is distinct from e.worker_id
union all
select 'a live run on a stack that is ' || a.execution_state, e.id::text
  from live e join public.agent_stacks a on a.id = e.stack_id where a.execution_state = 'stopped'
union all
select 'a todo in progress without a live run', d.id::text
  from public.todos d where d.status = 'in_progress' and not exists (select from live e where e.id = d.run_id)
union all
select 'a visitor''s line claimed without a live run', u.id::text
  from public.user_messages u where u.status = 'claimed' and not exists (select from live e where e.id = u.run_id)
union all
select 'a team message claimed without a live run', m.message_id::text
  from public.message_reads m where m.status = 'claimed' and not exists (select from live e where e.id = m.run_id)
union all
select 'a ' || w.status || ' item owned by run ' || w.run_id, w.id::text
  from (
    select id, status, run_id from public.user_messages
    union all select message_id, status, run_id from public.message_reads) w
  where w.run_id is not null and w.status <> 'claimed'
union all
select 'activity and live runs differ', format('%s shows %s, live are %s', t.stack_id, t.shown, t.agents)
  from (
    select s.stack_id, array(select jsonb_object_keys(s.activity) order by 1) as shown,
      array(select e.agent_type from live e where e.stack_id = s.stack_id order by 1) as agents
    from public.stack_status s) t
  where t.shown <> t.agents
union all
select 'attempts out of bounds', format('%s %s with %s attempts, last error %s', w.kind, w.status, w.attempts, coalesce(w.last_error, 'none'))
  from (
    select 'todo' as kind, status, attempts, last_error from public.todos where status <> 'cancelled'
    union all select 'line', status, attempts, last_error from public.user_messages
    union all select 'message', status, attempts, last_error from public.message_reads) w
  where w.attempts not between 0 and 3 or (w.status = 'failed' and (w.attempts < 3 or w.last_error is null))
union all
select 'a line is answered and has no answer, or the other way round', u.id::text
  from public.user_messages u where (u.status = 'answered') <> (u.response_id is not null)
union all
select 'one answer for two lines', u.response_id::text
  from public.user_messages u where u.response_id is not null group by u.response_id having count(*) > 1
union all
select 'an answer that belongs to no line', m.id::text
  from public.messages m
  where m.message_type = 'visitor' and not exists (select from public.user_messages u where u.response_id = m.id)
union all
select 'versions with a gap', format('%s: %s artifacts up to version %s', f.stack_id, count(*), max(f.version))
  from public.artifacts f group by f.stack_id having count(*) <> max(f.version)
union all
select 'an artifact made from an older one', format('%s version %s', f.stack_id, f.version)
  from (
    select a.stack_id, a.version, b.content, lag(b.content) over (partition by a.stack_id order by a.version) as before
    from public.artifacts a join public.artifact_bodies b on b.artifact_id = a.id) f
  where split_part(f.content, ' ', 3) <> coalesce(split_part(f.before, ' ', 1), '')
union all
select 'an effect of a run that is ' || coalesce(e.status, 'not on record'), format('%s of run %s', w.kind, w.run_id)
  from (
    select 'artifact' as kind, run_id from public.artifacts
    union all select 'message', run_id from public.messages where from_agent_type is not null
    union all select 'trace', run_id from public.agent_traces where action <> 'run_failed') w
  left join public.agent_executions e on e.id = w.run_id
  where e.status is distinct from 'completed'
union all
select 'a trace of failure of a run that is ' || coalesce(e.status, 'not on record'), t.run_id::text
  from public.agent_traces t left join public.agent_executions e on e.id = t.run_id
  where t.action = 'run_failed' and e.status is distinct from 'failed'
union all
select 'two traces of one run', t.run_id::text from public.agent_traces t group by t.run_id having count(*) > 1
union all
select 'a memory that counts other turns than were completed', format('%s %s: %s turns, %s completed runs', g.stack_id, g.agent_type,
    coalesce(g.memory ->> 'turns', '0'), c.runs)
  from public.agent_states g cross join lateral (
    select count(*) as runs from public.agent_executions e
    where e.stack_id = g.stack_id and e.agent_type = g.agent_type and e.status = 'completed') c
  where coalesce((g.memory ->> 'turns')::integer, 0) <> c.runs
union all
select 'a lease without an owner, or the other way round', s.stack_id::text
  from public.stack_schedule s where (s.lease_owner is null) <> (s.lease_expires_at is null)
union all
select 'a stopped stack is leased', a.id::text
  from public.agent_stacks a join public.stack_schedule s on s.stack_id = a.id
  where a.execution_state = 'stopped' and s.lease_owner is not null
