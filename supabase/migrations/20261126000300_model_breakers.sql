-- Which models a daemon leaves alone, for operators to see. Each daemon judges by its own calls, so each has rows of its own, one for
-- every model whose breaker has ever opened there; they go with the daemon. Written only when a breaker opens or closes, by a verb that
-- no run ever waits for.

create table public.model_breakers (
  worker_id uuid not null references public.workers on delete cascade,
  provider text not null check (char_length(provider) between 1 and 80),
  model text not null check (char_length(model) between 1 and 200),
  state text not null check (state in ('open', 'closed')),
  failures integer not null default 0,
  opened_at timestamptz not null,
  open_until timestamptz not null,
  closed_at timestamptz,
  error text,
  primary key (worker_id, provider, model),
  check ((state = 'closed') = (closed_at is not null))
);
comment on table public.model_breakers is 'Models that failed, as each worker sees them: open, it does not ask until open_until, and then sends one probe.';
comment on column public.model_breakers.error is 'What the provider said last.';

alter table public.model_breakers enable row level security;
revoke all on public.model_breakers from public, anon, authenticated;
grant select, insert, update, delete on public.model_breakers to service_role;
grant select on public.model_breakers to authenticated;
create policy "operators look" on public.model_breakers for select to authenticated using ((select internal.is_operator()));
alter publication supabase_realtime add table public.model_breakers;

-- {v, worker, breakers: [{provider, model, state, failures, opened_ms, rest_ms, closed_ms?, error?}]} -> {v, now}
-- All of a worker's breakers that ever opened; `opened_ms` and `closed_ms` are milliseconds ago. The same report again changes nothing
-- but the times, so that a lost answer does no harm. Rows of workers that died without a word are cleared away in passing.
create function public.report_breakers(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  t timestamptz := internal.clock();
  me uuid := request ->> 'worker';
begin
  perform internal.open_request(request, 'worker', 'breakers');
  delete from public.model_breakers b where (b.worker_id, b.provider, b.model) in (
    select d.worker_id, d.provider, d.model from public.model_breakers d join public.workers w on w.id = d.worker_id
    where w.id <> me and w.heartbeat_at < t - interval '1 minute'
    for update of d skip locked);
  insert into public.model_breakers as b (worker_id, provider, model, state, failures, opened_at, open_until, closed_at, error)
    select w.id, r.provider, r.model, r.state, r.failures, o.opened_at, o.opened_at + make_interval(secs => r.rest_ms / 1000),
      t - make_interval(secs => r.closed_ms / 1000), left(r.error, 500)
    from jsonb_to_recordset(request -> 'breakers') as r(provider text, model text, state text, failures integer,
      opened_ms double precision, rest_ms double precision, closed_ms double precision, error text)
    cross join lateral (select t - make_interval(secs => r.opened_ms / 1000) as opened_at) o
    join public.workers w on w.id = me and w.stopped_at is null
    on conflict (worker_id, provider, model) do update set state = excluded.state, failures = excluded.failures,
      opened_at = excluded.opened_at, open_until = excluded.open_until, closed_at = excluded.closed_at, error = excluded.error;
  return jsonb_build_object('v', 2, 'now', t);
end $$;
revoke all on function public.report_breakers(jsonb) from public, anon, authenticated;
grant execute on function public.report_breakers(jsonb) to service_role;

create function internal.forget_breakers() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  delete from public.model_breakers where worker_id = new.id;
  return null;
end $$;
revoke all on function internal.forget_breakers() from public, anon, authenticated;

create trigger worker_left_breakers after update of stopped_at on public.workers
  for each row when (old.stopped_at is null and new.stopped_at is not null) execute function internal.forget_breakers();
