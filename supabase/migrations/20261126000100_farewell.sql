-- Who leaves says so. A daemon plans its next look by what was due when it last asked, and a stack's later due times are known
-- only to the one that works on it. When that one leaves, the others must look again, now rather than by their timer.
--
-- One touched row is the signal, as for a person's move: whoever hears it claims what is due and learns when the next stack is.
-- Locked rows are passed over: a heartbeat never waits, and the timer guarantees progress.

create function internal.worker_left() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update public.agent_stacks set woken_at = internal.clock() where id = (
    select a.id from public.agent_stacks a join public.stack_schedule s on s.stack_id = a.id
    where a.execution_state = 'running' and s.due_at is not null
    order by s.due_at limit 1 for no key update of a skip locked);
  return null;
end $$;
revoke all on function internal.worker_left() from public, anon, authenticated;

create trigger worker_left after update of stopped_at on public.workers
  for each row when (old.stopped_at is null and new.stopped_at is not null) execute function internal.worker_left();
