-- A provider says what it allows with its first answer. A fleet that plays a hundred stacks at once has asked by then for all of
-- them, and is refused. So of a model that has not answered yet, and for which no operator set a limit, there are few first calls:
-- four, and four more a second. The rest waits in the queue for a second at a time. A model that answers and says nothing has no
-- limit. Offers that need none of this (`metered` is not true) are those of the simulated model.
--
-- And a place in the queue is a running stack's: who was stopped, paused or deleted while it waited keeps nobody waiting.

alter table internal.quota drop constraint quota_kind_check;
alter table internal.quota add constraint quota_kind_check
  check (kind in ('requests per minute', 'tokens per minute', 'requests per day', 'tokens per day', 'first calls'));

create or replace function internal.quota_now(t timestamptz)
returns table (provider text, model text, kind text, counts_tokens boolean, capacity double precision, level double precision,
  per_second double precision)
language sql stable set search_path = '' as $$
  select q.provider, q.model, q.kind, q.kind like 'tokens%', c.capacity,
    least(c.capacity, q.level + greatest(extract(epoch from t - q.filled_at), 0) * c.capacity / c.window_s), c.capacity / c.window_s
  from internal.quota q
  left join public.model_limits l on l.provider = q.provider and l.model = q.model
  cross join lateral (select
    case q.kind
      when 'requests per minute' then coalesce(l.requests_per_minute, q.told)
      when 'tokens per minute' then coalesce(l.tokens_per_minute, q.told)
      when 'requests per day' then coalesce(l.requests_per_day, q.told)
      when 'tokens per day' then coalesce(l.tokens_per_day, q.told)
      else q.told end as capacity,
    case when q.kind like '%minute' then 60 when q.kind like '%day' then 86400 else 1 end as window_s) c
  where c.capacity is not null
$$;

-- As before (20261126000600), but for the first calls. An offer is {provider, model, tokens, usd, metered?}.
create or replace function internal.reserve(runs internal.spender[], t timestamptz) returns internal.reservation[]
language plpgsql set search_path = '' as $$
declare
  granted internal.reservation[] := '{}';
  refused internal.reservation[] := '{}';
  more internal.reservation[];
begin
  insert into internal.quota (provider, model, kind, told, level, filled_at)
    select distinct o.provider, o.model, 'first calls', 4, 4, t
    from unnest(runs) r cross join lateral jsonb_to_recordset(coalesce(r.offers, '[]')) as o(provider text, model text, metered boolean)
    where o.metered and not exists (select from internal.quota q where q.provider = o.provider and q.model = o.model)
    order by o.provider, o.model
    on conflict do nothing;
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
      select null, q.provider, q.model, q.tokens, 0, q.priority, q.since, null
      from internal.quota_queue q join public.agent_stacks a on a.id = q.stack_id and a.execution_state = 'running'
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
    select array_agg(row(j.run_id, j.provider, j.model, j.tokens, j.usd, case when j.wait_s > 0 then format(
          case when j.narrowest like '%first calls' then 'waiting for quota: %1$s has not said yet what it allows of %3$s'
            else 'waiting for quota: %1$s allows %2$s of %3$s' end, j.provider, j.narrowest, j.model) end,
        case when j.narrowest like '%first calls' then least(j.wait_s, 1) else j.wait_s end)::internal.reservation)
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
    where q.kept_until <= t or not exists (
        select from public.agent_stacks a where a.id = q.stack_id and a.execution_state = 'running') or exists (
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

-- Gives back what these runs reserved, and takes what these new calls really used, wherever they were made.
create or replace function internal.settle_quota(ended uuid[], calls uuid[], t timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  if (calls is null and cardinality(ended) = 0) or not exists (select from internal.quota) then
    return;
  end if;
  perform 1 from internal.quota q order by q.provider, q.model, q.kind for update;
  update internal.quota q set told = null   -- it has answered: what it did not say by now does not limit it
    where q.kind = 'first calls' and q.told is not null and exists (
      select from public.llm_calls c where c.id = any (calls) and c.error is null and c.provider = q.provider and c.model = q.model);
  update internal.quota q set filled_at = t,
      level = least(n.capacity, n.level + case when n.counts_tokens then x.tokens else x.requests end)
    from internal.quota_now(t) n
    join (
      select y.provider, y.model, sum(y.requests) as requests, sum(y.tokens) as tokens
      from (
        select e.reserved_provider as provider, e.reserved_model as model, 1 as requests, e.reserved_tokens as tokens
        from public.agent_executions e where e.id = any (ended) and e.reserved_provider is not null
        union all
        select c.provider, c.model, -1, -(c.tokens_in + c.tokens_out) from public.llm_calls c where c.id = any (calls)) y
      group by y.provider, y.model) x on x.provider = n.provider and x.model = n.model
    where q.provider = n.provider and q.model = n.model and q.kind = n.kind;
end $$;

-- What providers said of their limits: {provider, model, kind, capacity, remaining}. Others may use the same key, so the smaller
-- remainder counts.
create or replace function internal.learn_quota(told jsonb, t timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  if coalesce(jsonb_array_length(told), 0) = 0 then
    return;
  end if;
  -- Locked first, as everywhere here: the next statement must not reckon with a level that somebody has just taken from.
  perform 1 from internal.quota q order by q.provider, q.model, q.kind for update;
  insert into internal.quota as q (provider, model, kind, told, level, filled_at)
    select x.provider, x.model, x.kind, x.capacity, least(x.capacity, x.remaining), t
    from jsonb_to_recordset(told) as x(provider text, model text, kind text, capacity double precision, remaining double precision)
    where x.capacity > 0
    order by x.provider, x.model, x.kind
    on conflict (provider, model, kind) do update set told = excluded.told, filled_at = t,
      level = least(excluded.level, coalesce(
        (select n.level from internal.quota_now(t) n where n.provider = q.provider and n.model = q.model and n.kind = q.kind),
        excluded.level));
  update internal.quota q set told = null
    where q.kind = 'first calls' and q.told is not null and exists (
      select from jsonb_to_recordset(learn_quota.told) as x(provider text, model text) where x.provider = q.provider and x.model = q.model);
end $$;
