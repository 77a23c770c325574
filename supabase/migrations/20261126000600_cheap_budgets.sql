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

-- Mostly everything fits: nobody waits for quota, and the buckets and budgets bear all that is asked for. Then sums say so, and who
-- goes first does not matter. Null: they do not, or not all of it; the caller holds the rows of quota and budgets.
create function internal.reserve_all(runs internal.spender[], t timestamptz) returns internal.reservation[]
language plpgsql set search_path = '' as $$
declare
  asked internal.reservation[];
begin
  if exists (select from internal.quota_queue) then
    return null;
  end if;
  asked := array(
    select row(r.run_id, o.provider, o.model, o.tokens, o.usd, null, null)::internal.reservation
    from unnest(runs) r cross join lateral jsonb_to_record(r.offers -> 0) as o(provider text, model text, tokens integer, usd numeric)
    where r.offers -> 0 is not null);
  if exists (
    select from (
      select a.provider, a.model, count(*) as requests, sum(a.tokens) as tokens from unnest(asked) a group by a.provider, a.model) w
    join internal.quota_now(t) q on q.provider = w.provider and q.model = w.model
    where case when q.counts_tokens then w.tokens else w.requests end > q.level)
    or internal.over_budget(runs, asked, t)
  then
    return null;
  end if;
  perform internal.take_quota(asked, t);
  return asked;
end $$;

-- Whether some budget, less what is spent and what running runs may spend, cannot bear all of this.
create function internal.over_budget(runs internal.spender[], asked internal.reservation[], t timestamptz) returns boolean
language plpgsql stable set search_path = '' as $$
begin
  return exists (select from public.budgets) and exists (
    with running as materialized (
      select e.stack_id, e.agent_type, e.reserved_usd as usd, e.reserved_tokens as tokens
      from public.agent_executions e where e.status = 'running'
      union all
      select r.stack_id, r.agent, a.usd, a.tokens from unnest(asked) a join unnest(runs) r on r.run_id = a.run_id
    )
    select from public.budgets b
    join internal.budget_use u on u.budget_id = b.id and u.day = internal.budget_day(b.per, t)
    cross join lateral (
      select sum(r.usd) as usd, sum(r.tokens) as tokens from running r
      where (b.stack_id is null or r.stack_id = b.stack_id) and (b.agent_type is null or r.agent_type = b.agent_type)) e
    where exists (
        select from unnest(runs) r
        where (b.stack_id is null or r.stack_id = b.stack_id) and (b.agent_type is null or r.agent = b.agent_type))
      and (u.usd + e.usd > b.usd or u.tokens + e.tokens > b.tokens));
end $$;

create function internal.take_quota(granted internal.reservation[], t timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  update internal.quota q set filled_at = t, level = n.level - case when n.counts_tokens then g.tokens else g.requests end
    from internal.quota_now(t) n
    join (select x.provider, x.model, count(*) as requests, sum(x.tokens) as tokens from unnest(granted) x group by 1, 2) g
      on g.provider = n.provider and g.model = n.model
    where q.provider = n.provider and q.model = n.model and q.kind = n.kind;
end $$;

-- May these runs ask a model, and which? As before (20261126000000), but for what mostly comes first: all of them may.
create or replace function internal.reserve(runs internal.spender[], t timestamptz) returns internal.reservation[]
language plpgsql set search_path = '' as $$
declare
  granted internal.reservation[] := '{}';
  refused internal.reservation[] := '{}';
  more internal.reservation[];
begin
  if not exists (select from internal.quota) and not exists (select from public.budgets) then
    return array(
      select row(r.run_id, o.provider, o.model, o.tokens, o.usd, null, null)::internal.reservation
      from unnest(runs) r
      cross join lateral jsonb_to_record(r.offers -> 0) as o(provider text, model text, tokens integer, usd numeric)
      where r.offers is not null);
  end if;

  -- Locked first: what the next statements read is then as these rows were left by whoever held them before.
  perform 1 from internal.quota q
    where (q.provider, q.model) in (
      select o.provider, o.model from unnest(runs) r
      cross join lateral jsonb_to_recordset(coalesce(r.offers, '[]')) as o(provider text, model text))
    order by q.provider, q.model, q.kind for update;
  insert into internal.budget_use as u (budget_id, day)
    select b.id, internal.budget_day(b.per, t) from public.budgets b
    where exists (select from unnest(runs) r where internal.covers(b, r.stack_id, r.agent))
    order by b.id
    on conflict (budget_id, day) do update set usd = u.usd;   -- the lock is what it is for

  granted := internal.reserve_all(runs, t);
  if granted is not null then
    return granted;
  end if;
  granted := '{}';

  for k in 0 .. coalesce((select max(jsonb_array_length(r.offers)) from unnest(runs) r), 0) - 1 loop
    with waiting as (
      select r.run_id, o.provider, o.model, o.tokens, o.usd, r.priority, coalesce(q.since, t) as since, r.work_at
      from unnest(runs) r
      cross join lateral jsonb_to_record(r.offers -> k) as o(provider text, model text, tokens integer, usd numeric)
      left join internal.quota_queue q on q.stack_id = r.stack_id and q.agent_type = r.agent
      where r.offers -> k is not null and r.run_id not in (select g.run_id from unnest(granted) g)
      union all
      select null, q.provider, q.model, q.tokens, 0, q.priority, q.since, null from internal.quota_queue q
      where q.kept_until > t and not exists (select from unnest(runs) r where r.stack_id = q.stack_id and r.agent = q.agent_type)
    ), asked as (
      select * from (
        select w.*, row_number() over in_order as nth, sum(w.tokens) over in_order as needed
        from waiting w
        window in_order as (partition by w.provider, w.model order by w.priority desc, w.since, w.work_at, w.run_id)) x
      where x.run_id is not null
    ), taken as (
      select g.provider, g.model, count(*) as requests, sum(g.tokens) as tokens from unnest(granted) g group by g.provider, g.model
    ), judged as (
      select a.run_id, a.provider, a.model, a.tokens, a.usd, coalesce(max(s.wait_s), 0) as wait_s,
        (array_agg(format('%s %s', s.capacity, s.kind) order by s.wait_s desc))[1] as narrowest
      from asked a
      left join lateral (
        select q.capacity, q.kind, (n.needed - q.level) / q.per_second as wait_s
        from internal.quota_now(t) q
        left join taken x on x.provider = q.provider and x.model = q.model
        -- What no bucket of this size can ever hold is let through a full one.
        cross join lateral (select case when q.counts_tokens
          then least(coalesce(x.tokens, 0) + a.needed, case when a.nth = 1 and x.tokens is null then q.capacity else 'infinity' end)
          else coalesce(x.requests, 0) + a.nth end as needed) n
        where q.provider = a.provider and q.model = a.model) s on true
      group by a.run_id, a.provider, a.model, a.tokens, a.usd
    )
    select array_agg(row(j.run_id, j.provider, j.model, j.tokens, j.usd, case when j.wait_s > 0 then
        format('waiting for quota: %s allows %s of %s', j.provider, j.narrowest, j.model) end, j.wait_s)::internal.reservation)
      into more from judged j;
    granted := granted || array(select m from unnest(more) m where m.wait_s <= 0);
    refused := refused || array(select m from unnest(more) m where m.wait_s > 0);
  end loop;

  granted := internal.within_budgets(runs, granted, t);
  refused := refused || array(select g from unnest(granted) g where g.refusal is not null);
  granted := array(select g from unnest(granted) g where g.refusal is null);
  perform internal.take_quota(granted, t);
  refused := array(
    select distinct on (x.run_id) x from unnest(refused) x
    where x.run_id not in (select g.run_id from unnest(granted) g)
    order by x.run_id, x.refusal like 'budget%' desc, x.wait_s);
  delete from internal.quota_queue where (stack_id, agent_type) in (
    select q.stack_id, q.agent_type from internal.quota_queue q
    where q.kept_until <= t or exists (
      select from unnest(runs) r join unnest(granted) g on g.run_id = r.run_id
      where r.stack_id = q.stack_id and r.agent = q.agent_type)
    for update skip locked);   -- what has expired, another model's reservation may be deleting too
  insert into internal.quota_queue as q (provider, model, stack_id, agent_type, priority, tokens, since, kept_until)
    select x.provider, x.model, r.stack_id, r.agent, r.priority, x.tokens, t, t + make_interval(secs => x.wait_s + 5)
    from unnest(refused) x join unnest(runs) r on r.run_id = x.run_id
    where x.refusal not like 'budget%'
    order by r.stack_id, r.agent
    on conflict (stack_id, agent_type) do update set provider = excluded.provider, model = excluded.model,
      priority = excluded.priority, tokens = excluded.tokens, kept_until = excluded.kept_until;
  return granted || refused;
end $$;

-- Every wake touches its stack's row: room on the page keeps that from growing the indexes.
alter table public.agent_stacks set (fillfactor = 60);

revoke all on function internal.reserve_all(internal.spender[], timestamptz), internal.over_budget(internal.spender[], internal.reservation[], timestamptz),
  internal.take_quota(internal.reservation[], timestamptz) from public, anon, authenticated;
grant execute on function internal.reserve_all(internal.spender[], timestamptz), internal.over_budget(internal.spender[], internal.reservation[], timestamptz),
  internal.take_quota(internal.reservation[], timestamptz) to service_role;
