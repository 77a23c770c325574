-- What a budget still bears is asked at every begin, while the quota's rows are locked, so it must not cost more the more runs there
-- are: the running runs are read once, and which budget covers which run is written out where the planner can see it.

create or replace function internal.within_budgets(runs internal.spender[], asked internal.reservation[], t timestamptz)
returns internal.reservation[]
language plpgsql set search_path = '' as $$
begin
  if not exists (select from public.budgets) then
    return asked;
  end if;
  return array(
    with wanted as (
      select a.run_id, b.id, b.per, b.usd as most_usd, b.tokens as most_tokens, b.stack_id, b.agent_type,
        sum(a.usd) over w as usd, sum(a.tokens) over w as tokens, a.usd as own_usd, a.tokens as own_tokens
      from unnest(asked) a
      join unnest(runs) r on r.run_id = a.run_id
      join public.budgets b on (b.stack_id is null or b.stack_id = r.stack_id) and (b.agent_type is null or b.agent_type = r.agent)
      window w as (partition by b.id order by r.priority desc, r.work_at, r.run_id)
    ), running as materialized (
      select e.stack_id, e.agent_type, e.reserved_usd as usd, e.reserved_tokens as tokens
      from public.agent_executions e where e.status = 'running'
    ), spent as (
      select b.id, u.usd as spent_usd, u.tokens as spent_tokens, u.usd + coalesce(e.usd, 0) as usd, u.tokens + coalesce(e.tokens, 0) as tokens
      from public.budgets b
      join internal.budget_use u on u.budget_id = b.id and u.day = internal.budget_day(b.per, t)
      cross join lateral (
        select sum(r.usd) as usd, sum(r.tokens) as tokens from running r
        where (b.stack_id is null or r.stack_id = b.stack_id) and (b.agent_type is null or r.agent_type = b.agent_type)) e
      where b.id in (select w.id from wanted w)
    ), short as (
      select distinct on (w.run_id) w.run_id,
        format('budget exhausted: %s%s may spend %s%s', coalesce(w.agent_type || 's of ', ''),
          case when w.stack_id is null then 'all stacks' else 'this stack' end,
          case when w.usd + s.usd > w.most_usd then trim_scale(w.most_usd) || ' USD' else w.most_tokens || ' tokens' end,
          case w.per when 'day' then ' a day' else ' in all' end) as refusal,
        case
          when coalesce(w.own_usd + s.spent_usd <= w.most_usd, true) and coalesce(w.own_tokens + s.spent_tokens <= w.most_tokens, true)
            then 2   -- others have only reserved it, and seldom need all of that
          when w.per = 'day' then extract(epoch from ((t at time zone 'UTC')::date + 1)::timestamp at time zone 'UTC' - t) end as wait_s
      from wanted w join spent s on s.id = w.id
      where w.usd + s.usd > w.most_usd or w.tokens + s.tokens > w.most_tokens
      order by w.run_id, w.per = 'day'   -- what a new day does not lift says so
    )
    select row(a.run_id, a.provider, a.model, a.tokens, a.usd, s.refusal, s.wait_s)::internal.reservation
    from unnest(asked) a left join short s on s.run_id = a.run_id);
end $$;

-- Counts calls that are new in the ledger against the budgets they belong to.
create or replace function internal.count_spent(calls uuid[], t timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  if calls is null or not exists (select from public.budgets) then
    return;
  end if;
  insert into internal.budget_use as u (budget_id, day, usd, tokens)
    select b.id, internal.budget_day(b.per, t), sum(c.cost_usd), sum(c.tokens_in + c.tokens_out)
    from public.llm_calls c
    join public.budgets b on (b.stack_id is null or b.stack_id = c.stack_id) and (b.agent_type is null or b.agent_type = c.agent_type)
    where c.id = any (calls) group by b.id, b.per order by b.id
    on conflict (budget_id, day) do update set usd = u.usd + excluded.usd, tokens = u.tokens + excluded.tokens;
end $$;

-- Every wake touches its stack's row: room on the page keeps that from growing the indexes.
alter table public.agent_stacks set (fillfactor = 60);
