-- People act by plain INSERT, UPDATE and DELETE under row-level security; these triggers keep the rules.
-- Security definer: the machine's tables, which they touch, are closed to people. The machine's own writes
-- (verbs set stackbeat.machine for their transaction) pass through untouched.

create function internal.by_machine() returns boolean
language sql stable set search_path = '' as $$
  select coalesce(current_setting('stackbeat.machine', true), '') = 'on'
$$;

create function internal.who() returns text
language sql stable set search_path = '' as $$
  select case coalesce(auth.role(), '')
    when 'authenticated' then 'an operator' when 'service_role' then 'the service key' else 'SQL' end
$$;

-- A wake: the stack is due now, and the touched row is the signal. Always both, whatever the state: a condition on it
-- could lose a wake that races a control.
--
-- Lock order, here and in every verb: agent_stacks, then stack_schedule, then the rest; verbs never wait for a stack.
create function internal.wake(stack uuid) returns void
language sql set search_path = '' as $$
  update public.agent_stacks set woken_at = internal.clock() where id = stack;
  update public.stack_schedule set due_at = least(due_at, internal.clock()), wakes = wakes + 1 where stack_id = stack;
$$;

-- An UPDATE already holds its row when its trigger runs, and a commit that holds the stack may want that row: waiting
-- for the stack here would be a deadlock. So where the stack is taken, leave a note that the next claim reads.
create function internal.wake_from_update(stack uuid) returns void
language plpgsql set search_path = '' as $$
begin
  perform 1 from public.agent_stacks where id = stack for no key update skip locked;
  if found then
    perform internal.wake(stack);
  else
    insert into internal.late_wakes (stack_id) values (stack);
  end if;
end $$;

-- Gives back what unfinished runs own. 'abandoned' (their worker died) costs the item an attempt, others do not.
create function internal.release_work(stacks uuid[], outcome text) returns void
language plpgsql set search_path = '' as $$
declare
  refund integer := case when outcome = 'abandoned' then 0 else 1 end;
  most constant integer := 3;
  why constant text := 'the worker was lost during the last attempt; set the status back to retry';
  machine text := coalesce(current_setting('stackbeat.machine', true), '');
begin
  perform set_config('stackbeat.machine', 'on', true);   -- a person's stop releases what only the machine may set
  update public.agent_executions set status = outcome, completed_at = internal.clock()
    where stack_id = any (stacks) and status = 'running';
  update public.todos set run_id = null, attempts = greatest(attempts - refund, 0), updated_at = internal.clock(),
      status = case when attempts - refund >= most then 'failed' else 'pending' end,
      last_error = case when attempts - refund >= most then why else last_error end
    where stack_id = any (stacks) and status = 'in_progress';
  update public.user_messages set run_id = null, attempts = greatest(attempts - refund, 0),
      status = case when attempts - refund >= most then 'failed' else 'waiting' end,
      last_error = case when attempts - refund >= most then why else last_error end
    where stack_id = any (stacks) and status = 'claimed';
  update public.message_reads set run_id = null, attempts = greatest(attempts - refund, 0),
      status = case when attempts - refund >= most then 'failed' else 'waiting' end,
      last_error = case when attempts - refund >= most then why else last_error end
    where stack_id = any (stacks) and status = 'claimed';
  update public.stack_status set activity = '{}', updated_at = internal.clock()
    where stack_id = any (stacks) and activity <> '{}';
  perform set_config('stackbeat.machine', machine, true);
end $$;

-- agent_stacks --------------------------------------------------------------------------------------------------------

create function internal.stack_before() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  was text := case when tg_op = 'UPDATE' then old.execution_state else 'idle' end;
begin
  new.updated_at := internal.clock();
  if new.execution_state is null or new.execution_state not in ('idle', 'running', 'paused', 'stopped') then
    raise exception 'execution_state cannot be "%": write idle, running, paused or stopped', new.execution_state
      using errcode = '22023', hint = 'Play and resume are running.';
  end if;
  if new.execution_state = was or internal.by_machine() then
    null;
  elsif new.execution_state in ('paused', 'stopped') and was in ('idle', 'stopped') then
    new.execution_state := was;   -- nothing runs: pausing or stopping everything needs no WHERE
  elsif new.execution_state = 'idle' then
    raise exception 'a % stack cannot be set to idle: pause or stop it', was
      using errcode = '22023', hint = 'A stack becomes idle by itself when its project is complete.';
  end if;
  if new.execution_state <> was then
    case new.execution_state
      when 'running' then
        new.started_at := case when was = 'paused' then new.started_at else internal.clock() end;
        new.paused_at := null;
        new.stopped_at := null;
        new.woken_at := internal.clock();
        if new.phase = 'complete' then
          new.phase := 'demo';   -- in a completed project nobody works, so playing it reopens it
        end if;
      when 'paused' then new.paused_at := internal.clock();
      when 'stopped' then new.stopped_at := internal.clock();
      else null;
    end case;
  end if;
  return new;
end $$;

create function internal.stack_created() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into public.stack_schedule (stack_id, due_at)
    values (new.id, case when new.execution_state = 'running' then internal.clock() end);
  insert into public.stack_status (stack_id, wait_reason)
    values (new.id, case when new.execution_state = 'running' then 'starting' else 'not started yet' end);
  insert into public.agent_states (stack_id, agent_type)
    select new.id, unnest(array['planner', 'builder', 'communicator', 'reviewer']);
  return null;
end $$;

create function internal.stack_moved() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  case new.execution_state
    when 'running' then
      update public.stack_schedule set due_at = internal.clock(), wakes = wakes + 1 where stack_id = new.id;
      update public.stack_status set wait_reason = 'starting', wait_until = null, updated_at = internal.clock() where stack_id = new.id;
    when 'paused' then
      update public.stack_schedule set wakes = wakes + 1 where stack_id = new.id;
      update public.stack_status set wait_reason = 'paused by ' || internal.who(), wait_until = null, updated_at = internal.clock()
        where stack_id = new.id;
    when 'stopped' then
      -- The fence rises: nothing in flight can land any more, whoever holds the lease.
      update public.stack_schedule
        set fence = fence + 1, due_at = null, lease_owner = null, lease_expires_at = null, by_hand = false, wakes = wakes + 1
        where stack_id = new.id;
      perform internal.release_work(array[new.id], 'stopped');
      update public.stack_status set wait_reason = 'stopped by ' || internal.who(), wait_until = null, updated_at = internal.clock()
        where stack_id = new.id;
    else
      update public.stack_schedule set due_at = null where stack_id = new.id;
      update public.stack_status set wait_reason = 'the project is complete', wait_until = null, updated_at = internal.clock()
        where stack_id = new.id;
  end case;
  return null;
end $$;

create trigger stack_before before insert or update on public.agent_stacks
  for each row execute function internal.stack_before();
create trigger stack_created after insert on public.agent_stacks
  for each row execute function internal.stack_created();
create trigger stack_moved after update on public.agent_stacks
  for each row when (old.execution_state is distinct from new.execution_state) execute function internal.stack_moved();

-- project_ideas and todos -----------------------------------------------------------------------------------------------

create function internal.idea_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  new.updated_at := internal.clock();
  if internal.by_machine() then
    null;
  elsif tg_op = 'INSERT' then
    perform internal.wake(new.stack_id);
  else
    perform internal.wake_from_update(new.stack_id);
  end if;
  return new;
end $$;
create trigger idea_changed before insert or update on public.project_ideas
  for each row execute function internal.idea_changed();

create function internal.todo_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  new.updated_at := internal.clock();
  if internal.by_machine() then
    return new;
  end if;
  if tg_op = 'INSERT' then
    perform internal.wake(new.stack_id);
    return new;
  end if;
  if new.status is distinct from old.status then
    if new.status = 'pending' and old.status in ('failed', 'completed', 'cancelled') then
      new.attempts := 0;
      new.available_at := null;
      new.completed_at := null;
    elsif new.status = 'cancelled' then
      new.run_id := null;   -- a run in flight finds the todo gone and leaves it
    else
      raise exception 'a % todo cannot be set to "%": write pending (to retry) or cancelled', old.status, new.status
        using errcode = '22023';
    end if;
  end if;
  perform internal.wake_from_update(new.stack_id);
  return new;
end $$;
create trigger todo_changed before insert or update on public.todos
  for each row execute function internal.todo_changed();

-- Chat --------------------------------------------------------------------------------------------------------------

create function internal.take_chat_token(bucket text, scope text) returns boolean
language plpgsql set search_path = '' as $$
declare
  lim internal.chat_limits;
  left_over numeric;
begin
  select * into strict lim from internal.chat_limits l where l.scope = take_chat_token.scope;
  insert into internal.chat_buckets as b values (bucket, lim.capacity - 1, internal.clock())
    on conflict (key) do update
      set tokens = least(lim.capacity, b.tokens + lim.per_second * greatest(extract(epoch from internal.clock() - b.refilled_at), 0)) - 1,
          refilled_at = internal.clock()
    returning tokens into left_over;
  return left_over >= 0;
end $$;

-- Control characters, and the Unicode ones that hide or turn around what follows (bidirectional overrides, zero widths).
create function internal.unseen() returns text
language sql immutable set search_path = '' as $$
  select U&'[\0001-\001F\007F-\009F\00AD\061C\180E\200B-\200F\2028-\202E\2060-\2069\FEFF]'
$$;

create function internal.chat_before() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  length integer := char_length(btrim(coalesce(new.content, '')));
begin
  if tg_op = 'UPDATE' then
    if not internal.by_machine() and new.status is distinct from old.status then
      if not (old.status = 'failed' and new.status = 'waiting') then
        raise exception 'a % chat message cannot be set to "%": only failed to waiting (a retry)', old.status, new.status
          using errcode = '22023';
      end if;
      new.attempts := 0;
      new.available_at := null;
      perform internal.wake_from_update(new.stack_id);
    end if;
    return new;
  end if;
  if length = 0 then
    raise exception 'the message is empty: write something' using errcode = '23514';
  elsif length > 2000 then
    raise exception 'the message has % characters, at most 2000 are allowed: shorten it', length using errcode = '23514';
  end if;
  -- Nobody may dress up: no characters that cannot be seen or that turn the text around, no name of the team.
  new.sender_name := regexp_replace(new.sender_name, internal.unseen(), ' ', 'g');
  new.sender_name := coalesce(nullif(btrim(new.sender_name), ''), 'Visitor');
  if lower(new.sender_name) in ('operator', 'admin', 'system', 'stackbeat', 'planner', 'builder', 'communicator', 'reviewer')
    and not internal.by_machine() and coalesce(auth.role(), '') in ('anon', 'authenticated') and not internal.is_operator()
  then
    raise exception 'the name "%" belongs to the team: choose another', new.sender_name using errcode = '23514';
  end if;
  if char_length(new.sender_name) > 40 then
    raise exception 'the name has % characters, at most 40 are allowed: shorten it', char_length(new.sender_name) using errcode = '23514';
  end if;
  if internal.by_machine() then
    return new;
  end if;
  perform internal.wake(new.stack_id);   -- before the buckets, which all visitors share: nobody waits for a stack holding those
  if coalesce(auth.role(), '') in ('anon', 'authenticated') then
    if not internal.take_chat_token('stack:' || new.stack_id, 'stack') then
      raise exception 'this stack gets too many messages right now: try again in a few seconds' using errcode = 'PT429';
    end if;
    if not internal.take_chat_token('all', 'all') then
      raise exception 'too many messages right now: try again in a few seconds' using errcode = 'PT429';
    end if;
  end if;
  return new;
end $$;

create trigger chat_before before insert or update on public.user_messages
  for each row execute function internal.chat_before();

create function internal.stack_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  delete from internal.chat_buckets where key in (
    select b.key from internal.chat_buckets b where b.key = 'stack:' || old.id for update skip locked);
  return null;
end $$;
create trigger stack_deleted after delete on public.agent_stacks
  for each row execute function internal.stack_deleted();

revoke all on all functions in schema internal from public, anon, authenticated;
grant execute on function internal.is_operator(), internal.can_operate(), internal.clock() to anon, authenticated, service_role;
grant execute on all functions in schema internal to service_role;
