-- Whoever ends cycles may take as many due stacks in the same call: mostly the very ones it ends, whose next stage is due at once.
--
-- Before, the next claim was a call of its own, and a stack waited for it between two stages. The order is that of two calls:
-- settle, lease, read. The snapshots are read by later statements of the same transaction, so they show what it has just landed and
-- are never older than the lease; the rows that the whole fleet shares come after them, as before.

-- Quota before budget: whoever writes to a budget's count before it settles quota takes the quota's rows first, as begin_runs does.
create function internal.hold_quota() returns void
language plpgsql set search_path = '' as $$
begin
  perform 1 from internal.quota q order by q.provider, q.model, q.kind for update;
end $$;

-- What claim_due_stacks and commit_runs have in common: leases at most so many due stacks to the request's worker, and reads
-- what their agents need to know. {worker, lease_ms, cadence_ms, claim?, fleet_max?, stack_id?} -> as claim_due_stacks
-- Two statements in this order: lease, then read the snapshots, so that they are never older than the lease.
-- `claim` counts this worker's claims. A lease that came with a number is given back by its own worker's heartbeat only.
create function internal.claim_stacks(request jsonb, most integer, t timestamptz) returns json
language plpgsql set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = on as $$
declare
  me uuid := request ->> 'worker';
  lease interval := make_interval(secs => (request ->> 'lease_ms')::numeric::double precision / 1000);
  chosen uuid := request ->> 'stack_id';
  claimed uuid[];
  orphaned uuid[];
  away uuid[];
begin
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
    limit least(most, 100,
      case when chosen is null then internal.room((request ->> 'fleet_max')::integer, t) end)
    for no key update of a, s skip locked
  ) c;

  select array_agg(distinct e.stack_id) into orphaned
    from public.agent_executions e where e.stack_id = any (claimed) and e.status = 'running';
  if orphaned is not null then
    away := internal.owned_in_other_hands(orphaned);
    claimed := nullif(array(select c from unnest(claimed) c where c <> all (away)), '{}');
    perform internal.hold_quota();   -- what may have been spent is counted, and a commit has quota to settle after this
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

-- {v, worker, max, lease_ms, cadence_ms, claim?, fleet_max?, stack_id?} -> {v, now, next_wake_at, surroundings, stacks: [...]}
create or replace function public.claim_due_stacks(request jsonb) returns json
language plpgsql set search_path = '' as $$
begin
  perform internal.open_request(request, 'worker', 'max', 'lease_ms', 'cadence_ms');
  return internal.claim_stacks(request, (request ->> 'max')::integer, internal.clock());
end $$;

-- {v, worker, cadence_ms, runs: [...], settlements: [...], limits?: [...], claim?: {max, lease_ms, claim?, fleet_max?}}
-- -> {v, now, next_wake_at, runs: [{run_id, verdict, reason}], settled: [{stack_id, verdict}], claimed: as claim_due_stacks, or null}
-- next_wake_at is the earliest due time that this commit made, null where it made none. With `claim`, the worker takes at most as
-- many due stacks as it has settled here. json, not jsonb: see internal.sight.
drop function public.commit_runs(jsonb);
create function public.commit_runs(request jsonb) returns json
language plpgsql set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
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
  freed integer;
  claimed json;
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
    perform internal.hold_quota();
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

  freed := (select count(*) from jsonb_array_elements(settled) s where s ->> 'verdict' = 'done');
  if freed > 0 and jsonb_typeof(request -> 'claim') = 'object' then
    begin
      claimed := internal.claim_stacks(
        jsonb_build_object('worker', request -> 'worker', 'cadence_ms', request -> 'cadence_ms') || (request -> 'claim'),
        least((request #>> '{claim,max}')::integer, freed), t);
    exception when others then
      claimed := null;   -- what has ended stays ended; the worker's next claim by itself will say what is wrong
    end;
  end if;

  -- Last, because the whole fleet shares these rows.
  perform internal.learn_quota(nullif(request -> 'limits', 'null'), t);
  perform internal.settle_quota(ended, calls, t);
  perform internal.count_spent(calls, t);
  return json_build_object('v', 2, 'now', t,
    'next_wake_at', case when cardinality(others) > 0 and cardinality(landed) > 0 then t else next_due end,
    'settled', settled, 'claimed', claimed, 'runs', (
      select coalesce(json_agg(json_build_object('run_id', j.run_id, 'verdict', j.verdict, 'reason', j.reason)), '[]') from unnest(judged) j));
end $$;

revoke all on function internal.hold_quota(), internal.claim_stacks(jsonb, integer, timestamptz), public.commit_runs(jsonb) from public, anon, authenticated;
grant execute on function internal.hold_quota(), internal.claim_stacks(jsonb, integer, timestamptz), public.commit_runs(jsonb) to service_role;
