-- What may be spent: providers' limits, which the whole fleet shares, and budgets. begin_runs reserves before a model is asked,
-- commit_runs settles with what was really used; both are the machine's, by functions of this file.
--
-- Locks: the machine's own rows here (internal.quota, internal.budget_use) are the last in the order of locks, taken in the order of
-- their keys, and only verbs hold them, for as long as a verb takes. No foreign key leads from them to what people edit.

-- People's part ---------------------------------------------------------------------------------------------------------

create table public.model_limits (
  provider text not null check (length(provider) between 1 and 80),
  model text not null check (length(model) between 1 and 200),
  requests_per_minute integer check (requests_per_minute > 0),
  tokens_per_minute integer check (tokens_per_minute > 0),
  requests_per_day integer check (requests_per_day > 0),
  tokens_per_day bigint check (tokens_per_day > 0),
  primary key (provider, model)
);
comment on table public.model_limits is 'Limits set by operators. Where they say nothing, what a provider says of itself counts.';

create table public.budgets (
  id uuid primary key default gen_random_uuid(),
  stack_id uuid references public.agent_stacks on delete cascade,
  agent_type text check (length(agent_type) between 1 and 80),
  per text not null check (per in ('day', 'all time')),
  usd numeric(14, 8) check (usd >= 0),
  tokens bigint check (tokens >= 0),
  created_at timestamptz not null default now(),
  check (usd is not null or tokens is not null),
  unique nulls not distinct (stack_id, agent_type, per)
);
comment on table public.budgets is 'The most that may be spent: by one stack or (null) by all, by one role or (null) by all. Days are UTC.';
create index budgets_stack on public.budgets (stack_id);

-- The machine's part ----------------------------------------------------------------------------------------------------

-- Token buckets: `told` is the capacity a provider names, an operator's limit goes before it. They refill evenly over their window.
create table internal.quota (
  provider text not null,
  model text not null,
  kind text not null check (kind in ('requests per minute', 'tokens per minute', 'requests per day', 'tokens per day')),
  told double precision,
  level double precision not null,
  filled_at timestamptz not null,
  primary key (provider, model, kind)
);

-- Who was refused, in the order of coming: those before one in the queue go first, whoever asks first. A place is kept until a little
-- after the time its owner was told to come back at.
create table internal.quota_queue (
  provider text not null,
  model text not null,
  stack_id uuid not null,
  agent_type text not null,
  priority smallint not null,
  tokens integer not null,
  since timestamptz not null,
  kept_until timestamptz not null,
  primary key (stack_id, agent_type)
);

-- What counts against each budget; `day` is -infinity for all time.
create table internal.budget_use (
  budget_id uuid not null,
  day date not null,
  usd numeric(14, 8) not null default 0,
  tokens bigint not null default 0,
  primary key (budget_id, day)
);

alter table public.agent_executions
  add column reserved_provider text, add column reserved_model text, add column reserved_tokens integer,
  add column reserved_usd numeric(14, 8);
comment on column public.agent_executions.reserved_usd is 'What the run may spend at most; while it runs, this counts against its budgets.';

-- A state that programs can tell apart, for what the reason says in words.
alter table public.stack_status add column wait_kind text generated always as (case
  when wait_reason like 'budget exhausted%' then 'budget_exhausted'
  when wait_reason like 'waiting for quota%' then 'quota'
  when wait_reason like 'waiting for model%' then 'model'
  when wait_reason is not null then 'other' end) stored;

create function internal.quota_now(t timestamptz)
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
      else coalesce(l.tokens_per_day, q.told) end as capacity,
    case when q.kind like '%minute' then 60 else 86400 end as window_s) c
  where c.capacity is not null
$$;

create type internal.spender as (run_id uuid, stack_id uuid, agent text, priority smallint, work_at timestamptz, offers jsonb);
create type internal.reservation as (run_id uuid, provider text, model text, tokens integer, usd numeric, refusal text,
  wait_s double precision);

-- May these runs ask a model, and which? An offer is {provider, model, tokens, usd}: how many tokens the run will probably take there,
-- how many dollars it may cost at most. One answer a run that has offers; the first offer that fits its model's quota counts. Behind
-- each quota there is one queue, by priority, then first come, first served. A refusal says in words what is missing, and for how long
-- (null: until somebody acts).
create function internal.reserve(runs internal.spender[], t timestamptz) returns internal.reservation[]
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
  update internal.quota q set filled_at = t, level = n.level - case when n.counts_tokens then g.tokens else g.requests end
    from internal.quota_now(t) n
    join (select x.provider, x.model, count(*) as requests, sum(x.tokens) as tokens from unnest(granted) x group by 1, 2) g
      on g.provider = n.provider and g.model = n.model
    where q.provider = n.provider and q.model = n.model and q.kind = n.kind;
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

create function internal.covers(budget public.budgets, stack uuid, agent text) returns boolean
language sql immutable set search_path = '' as $$
  select (budget.stack_id is null or budget.stack_id = stack) and (budget.agent_type is null or budget.agent_type = agent)
$$;

create function internal.budget_day(per text, t timestamptz) returns date
language sql immutable set search_path = '' as $$
  select case when per = 'day' then (t at time zone 'UTC')::date else '-infinity' end
$$;

-- The same reservations, refused where a budget, less what is spent and what running runs may spend, cannot bear them.
create function internal.within_budgets(runs internal.spender[], asked internal.reservation[], t timestamptz)
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
      join public.budgets b on internal.covers(b, r.stack_id, r.agent)
      window w as (partition by b.id order by r.priority desc, r.work_at, r.run_id)
    ), spent as (
      select b.id, u.usd as spent_usd, u.tokens as spent_tokens, u.usd + coalesce(e.usd, 0) as usd, u.tokens + coalesce(e.tokens, 0) as tokens
      from public.budgets b
      join internal.budget_use u on u.budget_id = b.id and u.day = internal.budget_day(b.per, t)
      left join lateral (
        select sum(e.reserved_usd) as usd, sum(e.reserved_tokens) as tokens from public.agent_executions e
        where e.status = 'running' and internal.covers(b, e.stack_id, e.agent_type)) e on true
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
create function internal.count_spent(calls uuid[], t timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  if calls is null or not exists (select from public.budgets) then
    return;
  end if;
  insert into internal.budget_use as u (budget_id, day, usd, tokens)
    select b.id, internal.budget_day(b.per, t), sum(c.cost_usd), sum(c.tokens_in + c.tokens_out)
    from public.llm_calls c join public.budgets b on internal.covers(b, c.stack_id, c.agent_type)
    where c.id = any (calls) group by b.id, b.per order by b.id
    on conflict (budget_id, day) do update set usd = u.usd + excluded.usd, tokens = u.tokens + excluded.tokens;
end $$;

-- The ledger's rows that stood for what lost workers had not reported give way to the report.
create function internal.forget_lost(runs uuid[], t timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  with gone as (
    delete from public.llm_calls c where c.id = any (runs) and c.id = c.run_id
    returning c.stack_id, c.agent_type, c.cost_usd, c.created_at
  ), less as (
    select b.id, internal.budget_day(b.per, g.created_at) as day, sum(g.cost_usd) as usd
    from gone g join public.budgets b on internal.covers(b, g.stack_id, g.agent_type) group by 1, 2
  )
  update internal.budget_use u set usd = u.usd - l.usd from less l where u.budget_id = l.id and u.day = l.day;
end $$;

-- Gives back what these runs reserved, and takes what these new calls really used, wherever they were made.
create function internal.settle_quota(ended uuid[], calls uuid[], t timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  if (calls is null and cardinality(ended) = 0) or not exists (select from internal.quota) then
    return;
  end if;
  perform 1 from internal.quota q order by q.provider, q.model, q.kind for update;
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
create function internal.learn_quota(told jsonb, t timestamptz) returns void
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
end $$;

-- People's changes ------------------------------------------------------------------------------------------------------

-- An operator's limit opens its buckets, full; a limit that falls takes effect at the next reservation.
create function internal.limit_set() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into internal.quota (provider, model, kind, level, filled_at)
    select new.provider, new.model, x.kind, x.capacity, internal.clock()
    from (values ('requests per minute', new.requests_per_minute::double precision), ('tokens per minute', new.tokens_per_minute),
      ('requests per day', new.requests_per_day), ('tokens per day', new.tokens_per_day)) as x(kind, capacity)
    where x.capacity is not null
    on conflict (provider, model, kind) do nothing;
  perform internal.wake_waiting('quota');
  return null;
end $$;
create trigger limit_set after insert or update on public.model_limits for each row execute function internal.limit_set();

-- A new budget knows what was spent before it; whoever waits for one looks again whenever any of them changes.
create function internal.budget_set() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'INSERT' then
    insert into internal.budget_use as u (budget_id, day, usd, tokens)
      select new.id, internal.budget_day(new.per, internal.clock()), coalesce(sum(c.cost_usd), 0), coalesce(sum(c.tokens_in + c.tokens_out), 0)
      from public.llm_calls c
      where internal.covers(new, c.stack_id, c.agent_type)
        and (new.per <> 'day' or c.created_at >= (internal.clock() at time zone 'UTC')::date::timestamp at time zone 'UTC')
      on conflict (budget_id, day) do update set usd = excluded.usd, tokens = excluded.tokens;
  elsif tg_op = 'DELETE' then
    delete from internal.budget_use where budget_id = old.id;
  elsif (new.stack_id, new.agent_type, new.per) is distinct from (old.stack_id, old.agent_type, old.per) then
    raise exception 'stack, role and period of a budget are fixed: delete it and make another' using errcode = '22023';
  end if;
  perform internal.wake_waiting('budget_exhausted');
  return null;
end $$;
create trigger budget_set after insert or update or delete on public.budgets for each row execute function internal.budget_set();

create function internal.wake_waiting(kind text) returns void
language plpgsql set search_path = '' as $$
declare
  stack uuid;
begin
  for stack in select w.stack_id from public.stack_status w where w.wait_kind = kind order by w.stack_id loop
    perform internal.wake_from_update(stack);
  end loop;
end $$;

-- Looking at it ---------------------------------------------------------------------------------------------------------

create view public.spending with (security_invoker = true) as
  select date_trunc('hour', c.created_at, 'UTC') as hour, c.stack_id, c.agent_type, c.provider, c.model, c.simulated,
    count(*) as calls, count(*) filter (where c.error is not null) as failed,
    sum(c.tokens_in) as tokens_in, sum(c.tokens_cached) as tokens_cached, sum(c.tokens_out) as tokens_out, sum(c.cost_usd) as cost_usd
  from public.llm_calls c where c.provider <> 'unknown'
  group by 1, 2, 3, 4, 5, 6;
comment on view public.spending is 'The ledger by hour, stack, role and model.';

create function internal.budget_used(budget uuid, per text, out usd numeric, out tokens bigint)
language sql stable security definer set search_path = '' as $$
  select coalesce(sum(u.usd), 0), coalesce(sum(u.tokens), 0)::bigint from internal.budget_use u
  where u.budget_id = budget and u.day = internal.budget_day(per, internal.clock())
$$;

create view public.budgets_now with (security_invoker = true) as
  select b.id, b.stack_id, b.agent_type, b.per, b.usd, b.tokens, u.usd as used_usd, u.tokens as used_tokens
  from public.budgets b
  left join lateral internal.budget_used(b.id, b.per) u on true;
comment on view public.budgets_now is 'The budgets, and what counts against each of them now.';

-- Who sees and writes what -----------------------------------------------------------------------------------------------

do $$
declare
  t text;
begin
  foreach t in array array['model_limits', 'budgets'] loop
    execute format('alter table public.%I enable row level security', t);
    execute format('revoke all on public.%I from public, anon, authenticated', t);
    execute format('grant select, insert, update, delete on public.%I to service_role', t);
    execute format('grant select, insert, update, delete on public.%I to authenticated', t);
    execute format('create policy "operators look" on public.%I for select to authenticated using ((select internal.is_operator()))', t);
    execute format('create policy "operators set" on public.%I for insert to authenticated with check ((select internal.can_operate()))', t);
    execute format('create policy "operators change" on public.%I for update to authenticated
      using ((select internal.can_operate())) with check ((select internal.can_operate()))', t);
    execute format('create policy "operators lift" on public.%I for delete to authenticated using ((select internal.can_operate()))', t);
  end loop;
  foreach t in array array['spending', 'budgets_now'] loop
    execute format('revoke all on public.%I from public, anon, authenticated', t);
    execute format('grant select on public.%I to authenticated, service_role', t);
  end loop;
end $$;
revoke all on all functions in schema internal from public, anon, authenticated;
grant execute on function internal.is_operator(), internal.can_operate(), internal.clock() to anon, authenticated, service_role;
grant execute on function internal.budget_used(uuid, text) to authenticated;
grant execute on all functions in schema internal to service_role;
grant select, insert, update, delete on all tables in schema internal to service_role;
