-- Who sees and writes what. Every grant is stated outright: new projects expose nothing by default, old ones everything.

grant usage on schema internal to anon, authenticated, service_role;

create function internal.is_operator() returns boolean
language sql stable set search_path = '' as $$
  select coalesce(auth.jwt() -> 'app_metadata' ->> 'role' = 'operator', false)
$$;
comment on function internal.is_operator() is 'The caller''s token says operator. Only app_metadata counts: users cannot write it.';

create function internal.can_operate() returns boolean
language sql stable set search_path = '' as $$
  select internal.is_operator() and auth.jwt() -> 'app_metadata' -> 'read_only' is distinct from 'true'::jsonb
$$;
comment on function internal.can_operate() is 'An operator who may write; read-only operators look only.';

revoke all on all functions in schema internal from public, anon, authenticated;
grant execute on function internal.is_operator(), internal.can_operate(), internal.clock() to anon, authenticated, service_role;

do $$
declare
  t text;
begin
  foreach t in array array[
    'agent_stacks', 'stack_status', 'stack_schedule', 'agent_states', 'project_ideas', 'todos', 'messages', 'message_reads',
    'user_messages', 'artifacts', 'artifact_bodies', 'agent_traces', 'workers', 'agent_executions', 'llm_calls', 'llm_replies']
  loop
    execute format('alter table public.%I enable row level security', t);
    execute format('revoke all on public.%I from public, anon, authenticated', t);
    execute format('grant select, insert, update, delete on public.%I to service_role', t);
  end loop;
  -- The public show.
  foreach t in array array[
    'agent_stacks', 'stack_status', 'project_ideas', 'todos', 'messages', 'user_messages', 'artifacts', 'artifact_bodies', 'agent_traces']
  loop
    execute format('grant select on public.%I to anon, authenticated', t);
    execute format('create policy "everybody looks" on public.%I for select to anon, authenticated using (true)', t);
  end loop;
  -- Behind the scenes.
  foreach t in array array[
    'stack_schedule', 'agent_states', 'message_reads', 'workers', 'agent_executions', 'llm_calls', 'llm_replies']
  loop
    execute format('grant select on public.%I to authenticated', t);
    execute format('create policy "operators look" on public.%I for select to authenticated using ((select internal.is_operator()))', t);
  end loop;
end $$;
grant usage, select on sequence public.agent_traces_id_seq to service_role;
revoke all on sequence public.agent_traces_id_seq from anon, authenticated;

-- People's doors. Column grants say what; policies say who; triggers (20261122000003) say how.
grant insert (id, participant_name, execution_state, priority, cadence_s) on public.agent_stacks to authenticated;
grant update (participant_name, execution_state, priority, cadence_s) on public.agent_stacks to authenticated;
grant delete on public.agent_stacks to authenticated;
create policy "operators create" on public.agent_stacks for insert to authenticated with check ((select internal.can_operate()));
create policy "operators control" on public.agent_stacks for update to authenticated
  using ((select internal.can_operate())) with check ((select internal.can_operate()));
create policy "operators delete" on public.agent_stacks for delete to authenticated using ((select internal.can_operate()));

grant insert (id, stack_id, title, description) on public.project_ideas to authenticated;
grant update (title, description) on public.project_ideas to authenticated;
create policy "operators propose" on public.project_ideas for insert to authenticated with check ((select internal.can_operate()));
create policy "operators edit" on public.project_ideas for update to authenticated
  using ((select internal.can_operate())) with check ((select internal.can_operate()));

grant insert (id, stack_id, content, priority, assigned_to) on public.todos to authenticated;
grant update (content, priority, status) on public.todos to authenticated;
create policy "operators add" on public.todos for insert to authenticated with check ((select internal.can_operate()));
create policy "operators edit" on public.todos for update to authenticated
  using ((select internal.can_operate())) with check ((select internal.can_operate()));

grant insert (id, stack_id, sender_name, content) on public.user_messages to anon, authenticated;
grant update (status) on public.user_messages to authenticated;
create policy "visitors write" on public.user_messages for insert to anon, authenticated
  with check (status = 'waiting' and response_id is null and run_id is null);
create policy "operators retry" on public.user_messages for update to authenticated
  using ((select internal.can_operate())) with check ((select internal.can_operate()));

alter publication supabase_realtime add table
  public.agent_stacks, public.stack_status, public.project_ideas, public.todos, public.messages, public.user_messages,
  public.artifacts, public.agent_traces;
