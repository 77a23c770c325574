-- What was spent since midnight (UTC), a row a stack: what the dashboard's fleet page shows operators. The ledger's own policies
-- decide who sees it. What a lost worker may have spent is not known to have been (provider `unknown`), so it is not in here,
-- as in `spending`.
create view public.spending_today with (security_invoker = true) as
  select c.stack_id, count(*) as calls, count(*) filter (where c.error is not null) as failed,
    sum(c.tokens_in) as tokens_in, sum(c.tokens_cached) as tokens_cached, sum(c.tokens_out) as tokens_out, sum(c.cost_usd) as cost_usd
  from public.llm_calls c
  where c.provider <> 'unknown' and c.created_at >= (internal.clock() at time zone 'UTC')::date::timestamp at time zone 'UTC'
  group by c.stack_id;
comment on view public.spending_today is 'The ledger since midnight (UTC), by stack.';
revoke all on public.spending_today from public, anon, authenticated;
grant select on public.spending_today to authenticated, service_role;
