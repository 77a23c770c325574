-- What nobody lives by any more is given up by who had it, by count and not by the clock.
--
-- A worker numbers its claims and makes them one after another. Its heartbeat names the leases it lives by and the last claim that
-- is over, answered or not. A lease of an earlier claim that is not named belongs to an answer that was lost, or to a cycle that
-- broke: it is released. So a claim never takes a stack from its own worker, however late or often it is delivered, and a lost
-- answer costs a heartbeat instead of a lease. Replaces the guard by times of 20261126000001.
--
-- A begin that is delivered late and again may begin a run that its worker believes refused. The settlement, which comes after
-- all runs of its cycle, ends such a phantom: what it owned goes back, at no cost.

alter table public.stack_schedule add column claim bigint;
comment on column public.stack_schedule.claim is 'Which of its worker''s claims this lease came with; null where the worker does not count them.';

-- {v, worker, max, lease_ms, cadence_ms, claim?, fleet_max?, stack_id?} -> {v, now, next_wake_at, surroundings, stacks: [...]}
-- Two statements in this order: lease, then read the snapshots, so that they are never older than the lease.
-- `claim` counts this worker's claims. A lease that came with a number is given back by its own worker's heartbeat only.
create or replace function public.claim_due_stacks(request jsonb) returns json
language plpgsql set search_path = '' set plan_cache_mode = force_generic_plan as $$
declare
  t timestamptz := internal.clock();
  me uuid := request ->> 'worker';
  lease interval := make_interval(secs => (request ->> 'lease_ms')::numeric::double precision / 1000);
  chosen uuid := request ->> 'stack_id';
  claimed uuid[];
  orphaned uuid[];
  away uuid[];
begin
  perform internal.open_request(request, 'worker', 'max', 'lease_ms', 'cadence_ms');

  -- A running stack is claimable when it is due and nobody's lease holds it; a minute's wait outweighs two priorities.
  select array_agg(c.id) into claimed from (
    select a.id
    from public.agent_stacks a join public.stack_schedule s on s.stack_id = a.id
    where coalesce(s.lease_expires_at, '-infinity') <= t
      and (s.lease_owner is distinct from me or s.claim is null)
      and case
        when chosen is not null then a.id = chosen
        else a.execution_state = 'running'
          and (s.due_at <= t or exists (select from internal.late_wakes w where w.stack_id = a.id))
      end
    order by a.priority + extract(epoch from t - coalesce(s.due_at, t)) / 30 desc, s.due_at, a.id
    limit least((request ->> 'max')::integer, 100,
      case when chosen is null then internal.room((request ->> 'fleet_max')::integer, t) end)
    for no key update of a, s skip locked
  ) c;

  select array_agg(distinct e.stack_id) into orphaned
    from public.agent_executions e where e.stack_id = any (claimed) and e.status = 'running';
  if orphaned is not null then
    away := internal.owned_in_other_hands(orphaned);
    claimed := nullif(array(select c from unnest(claimed) c where c <> all (away)), '{}');
    perform internal.release_work(array(select o from unnest(orphaned) o where o <> all (away)), 'abandoned');
  end if;

  if claimed is not null then
    delete from internal.late_wakes where stack_id = any (claimed);
    update public.stack_schedule set
        fence = fence + 1, lease_owner = me, claimed_at = t, lease_expires_at = t + lease, claim = (request ->> 'claim')::bigint,
        by_hand = chosen is not null,
        due_at = coalesce(due_at, t)   -- if this worker dies, the end of its lease must find the stack due
      where stack_id = any (claimed);
    return internal.sight(claimed, (request ->> 'cadence_ms')::integer, t);
  end if;
  return json_build_object('v', 2, 'now', t, 'next_wake_at', internal.next_wake(t), 'surroundings', null, 'stacks', '[]'::json);
end $$;

-- Gives up this worker's leases of claims up to that number, but for those it lives by; how many.
create function internal.release_leases(worker uuid, lived internal.held_stack[], claims bigint) returns integer
language plpgsql set search_path = '' as $$
declare
  left_behind uuid[] := array(
    select l.id from (
      select a.id from public.stack_schedule h join public.agent_stacks a on a.id = h.stack_id
      where h.lease_owner = worker and h.claim <= claims
        and not exists (select from unnest(lived) l where l.id = h.stack_id and l.fence = h.fence)
      order by a.id for no key update of a, h skip locked) l);
begin
  if cardinality(left_behind) > 0 then
    left_behind := array(select unnest(left_behind) except select unnest(internal.owned_in_other_hands(left_behind)));
    perform internal.release_work(left_behind, 'abandoned');
    update public.stack_schedule set lease_owner = null, lease_expires_at = null, claim = null where stack_id = any (left_behind);
  end if;
  return cardinality(left_behind);
end $$;

-- {v, worker, name, version, slots, lease_ms, leases: [{stack_id, fence}], claims?, stopping?}
-- -> {v, now, renewed, released, due, lost: [stack_id], halted: [{stack_id, execution_state}]}
-- A lease that is neither renewed nor lost is one whose row is locked right now, by its own worker's call or by a person: it is
-- renewed at the next beat. `claims` is the number of the worker's last claim whose answer it no longer waits for.
-- `due` counts the stacks that anybody could claim now.
create or replace function public.heartbeat(request jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
  t timestamptz := internal.clock();
  me uuid := request ->> 'worker';
  leases internal.held_stack[];
  renewed integer;
  released integer;
begin
  perform internal.open_request(request, 'worker', 'name', 'version', 'slots', 'lease_ms');
  leases := array(select row(l.stack_id, null, l.fence, null, null, null)::internal.held_stack
    from jsonb_to_recordset(coalesce(nullif(request -> 'leases', 'null'), '[]')) as l(stack_id uuid, fence bigint));
  insert into public.workers as w (id, name, version, slots, started_at, heartbeat_at)
    values (me, request ->> 'name', request ->> 'version', (request ->> 'slots')::integer, t, t)
    on conflict (id) do update set heartbeat_at = t, name = excluded.name, version = excluded.version, slots = excluded.slots,
      stopped_at = case when request -> 'stopping' = 'true' then t end;
  update public.stack_schedule s set lease_expires_at = t + make_interval(secs => (request ->> 'lease_ms')::double precision / 1000)
    where s.stack_id in (
      select h.stack_id from unnest(leases) l
      join public.stack_schedule h on h.stack_id = l.id and h.fence = l.fence and h.lease_owner = me
      order by h.stack_id for no key update of h skip locked);
  get diagnostics renewed = row_count;
  released := internal.release_leases(me, leases, (request ->> 'claims')::bigint);
  return jsonb_build_object('v', 2, 'now', t, 'renewed', renewed, 'released', released, 'due', (
      select count(*) from public.agent_stacks a join public.stack_schedule s on s.stack_id = a.id
      where a.execution_state = 'running' and s.due_at <= t and coalesce(s.lease_expires_at, '-infinity') <= t),
   
    'lost', (
      select coalesce(jsonb_agg(l.id), '[]') from unnest(leases) l left join public.stack_schedule h on h.stack_id = l.id
      where h.stack_id is null or h.fence <> l.fence or h.lease_owner is distinct from me),
    'halted', (
      select coalesce(jsonb_agg(jsonb_build_object('stack_id', a.id, 'execution_state', a.execution_state)), '[]')
      from unnest(leases) l
      join public.agent_stacks a on a.id = l.id
      join public.stack_schedule h on h.stack_id = l.id
      where a.execution_state <> 'running' and not h.by_hand));
end $$;

-- Stacks with runs that their worker does not know of, at the end of the cycle: it settles when all it knows have their verdicts.
create function internal.phantoms(settlements internal.settlement[], runs internal.finished_run[]) returns uuid[]
language plpgsql stable set search_path = '' as $$
begin
  return array(
    select distinct e.stack_id from unnest(settlements) q
    join public.agent_executions e on e.stack_id = q.stack_id and e.fence = q.fence and e.status = 'running'
    where not exists (select from unnest(runs) r where r.run_id = e.id));
end $$;

-- {v, worker, cadence_ms, runs: [...], settlements: [...], limits?: [...]} -> {v, now, next_wake_at, runs: [{run_id, verdict, reason}], settled: [{stack_id, verdict}]}
-- next_wake_at is the earliest due time that this commit made, null where it made none.
create or replace function public.commit_runs(request jsonb) returns jsonb
language plpgsql set search_path = '' set plan_cache_mode = force_generic_plan as $$
declare
  t timestamptz := internal.clock();
  runs internal.finished_run[];
  valid_runs internal.finished_run[];
  settlements internal.settlement[];
  changes internal.change[];
  held internal.held_stack[];
  judged internal.verdict[];
  landed internal.verdict[] := '{}';
  others uuid[];
  away uuid[];
  phantoms uuid[];
  settled jsonb;
  next_due timestamptz;
  calls uuid[];
  ended uuid[];
begin
  perform internal.open_request(request, 'worker');
  runs := array(select r from jsonb_populate_recordset(null::internal.finished_run, coalesce(nullif(request -> 'runs', 'null'), '[]')) r);
  settlements := array(select s from jsonb_populate_recordset(null::internal.settlement, coalesce(nullif(request -> 'settlements', 'null'), '[]')) s);
  if cardinality(runs) > 50 then
    raise exception 'a commit carries at most 50 runs, this one has %: send it in parts', cardinality(runs) using errcode = 'SB001';
  end if;
  calls := internal.keep_ledger(runs, t);

  changes := internal.changes_of(runs);
  others := array(select (c.body ->> 'to_stack_id')::uuid from unnest(changes) c where c.op = 'send_message' and c.body ->> 'to_stack_id' is not null);
  held := internal.hold_stacks(array(
    select r.stack_id from unnest(runs) r union select s.stack_id from unnest(settlements) s union select unnest(others)));
  phantoms := internal.phantoms(settlements, runs);
  away := internal.stacks_in_other_hands(runs, changes) || internal.owned_in_other_hands(phantoms);
  if cardinality(away) > 0 then
    held := array(select h from unnest(held) h where h.id <> all (away));
  end if;

  judged := internal.judge_commits(runs, changes, held);
  phantoms := array(
    select q.stack_id from unnest(settlements) q join unnest(held) h on h.id = q.stack_id and h.fence = q.fence
    where q.stack_id = any (phantoms) and not exists (select from unnest(judged) j where j.stack_id = q.stack_id and j.verdict = 'busy'));
  ended := array(   -- for the first and only time
    select e.id from unnest(judged) j join public.agent_executions e on e.id = j.run_id
    where j.verdict <> 'busy' and e.status = 'running' and e.reserved_provider is not null
    union all
    select e.id from public.agent_executions e
    where e.stack_id = any (phantoms) and e.status = 'running' and e.reserved_provider is not null
      and not exists (select from unnest(runs) r where r.run_id = e.id));
  if exists (select from unnest(judged) j where j.verdict = 'valid') then
    valid_runs := runs;
    if exists (select from unnest(judged) j where j.verdict <> 'valid') then   -- seldom, so that the lists are seldom copied
      valid_runs := array(select r from unnest(runs) r join unnest(judged) j on j.run_id = r.run_id where j.verdict = 'valid');
      changes := array(select c from unnest(changes) c join unnest(judged) j on j.run_id = c.run_id where j.verdict = 'valid');
    end if;
    landed := internal.land_each(valid_runs, changes, t);
    judged := landed || array(select j from unnest(judged) j where j.verdict <> 'valid');
  end if;
  if exists (select from unnest(judged) j where j.verdict in ('stale', 'stopped')) then
    -- They still get their end, where they are on record, and what stood in the ledger for a lost worker's call gives way.
    perform internal.forget_lost(array(
      select r.run_id from unnest(runs) r join unnest(judged) j on j.run_id = r.run_id
      where j.verdict in ('stale', 'stopped') and coalesce(jsonb_array_length(r.calls), 0) > 0), t);
    update public.agent_executions e set status = j.verdict, completed_at = t
      from unnest(judged) j where e.id = j.run_id and e.status = 'running' and j.verdict in ('stale', 'stopped');
  end if;
  if cardinality(phantoms) > 0 then
    perform internal.release_work(phantoms, 'stale');   -- of their running runs none is left but those nobody knows
  end if;

  select s.verdicts, s.next_due into settled, next_due
    from internal.settle_stacks(settlements, held, judged, (request ->> 'cadence_ms')::numeric, t) s;
  perform internal.show_status(settlements, held, landed, t);

  -- Last, because the whole fleet shares these rows.
  perform internal.learn_quota(nullif(request -> 'limits', 'null'), t);
  perform internal.settle_quota(ended, calls, t);
  perform internal.count_spent(calls, t);
  return jsonb_build_object('v', 2, 'now', t,
    'next_wake_at', case when cardinality(others) > 0 and cardinality(landed) > 0 then t else next_due end,
    'settled', settled, 'runs', (
      select coalesce(jsonb_agg(jsonb_build_object('run_id', j.run_id, 'verdict', j.verdict, 'reason', j.reason)), '[]') from unnest(judged) j));
end $$;

revoke all on function internal.phantoms(internal.settlement[], internal.finished_run[]), internal.release_leases(uuid, internal.held_stack[], bigint)
  from public, anon, authenticated;
grant execute on function internal.phantoms(internal.settlement[], internal.finished_run[]), internal.release_leases(uuid, internal.held_stack[], bigint)
  to service_role;
