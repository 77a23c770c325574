-- What `stackbeat watch` shows of a stack beside its own rows: sums, which REST does not make on hosted projects, and the newest trace.
-- Costs are added up from where the caller stopped: `calls_after` is the `until` of the answer before, and what is older than that was
-- told for good. What is younger than 20 s may not all be committed yet, so it is told apart and again the next time.
create function public.figures(request jsonb default '{}') returns jsonb
language plpgsql stable set search_path = '' as $$
declare
  t timestamptz := internal.clock();
  until timestamptz := t - interval '20 s';
  since timestamptz := coalesce((request ->> 'calls_after')::timestamptz, '-infinity');
begin
  return jsonb_build_object('now', t, 'until', until, 'stacks', (
    select coalesce(jsonb_object_agg(s.id, jsonb_build_object(
      'done', todos.done, 'open', todos.open, 'failed', todos.failed,
      'cost_usd', coalesce(calls.told, 0), 'cost_usd_recent', coalesce(calls.recent, 0), 'trace', trace.row)), '{}')
    from public.agent_stacks s
    cross join lateral (
      select count(*) filter (where d.status = 'completed') as done, count(*) filter (where d.status in ('pending', 'in_progress')) as open,
        count(*) filter (where d.status = 'failed') as failed
      from public.todos d where d.stack_id = s.id) todos
    cross join lateral (
      select sum(c.cost_usd) filter (where c.created_at <= until) as told, sum(c.cost_usd) filter (where c.created_at > until) as recent
      from public.llm_calls c where c.stack_id = s.id and c.created_at > since) calls
    left join lateral (
      select jsonb_build_object('at', a.created_at, 'agent', a.agent_type, 'action', a.action, 'thought', a.thought) as row
      from public.agent_traces a where a.stack_id = s.id order by a.id desc limit 1) trace on true
    where request ->> 'stack_id' is null or s.id = (request ->> 'stack_id')::uuid));
end $$;
comment on function public.figures(jsonb) is 'Todos, costs and the newest trace of every stack, or of one; for `stackbeat watch`.';
revoke all on function public.figures(jsonb) from public, anon, authenticated;
grant execute on function public.figures(jsonb) to service_role;
