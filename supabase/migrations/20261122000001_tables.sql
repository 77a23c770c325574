-- Tables. `public` holds what people and the machine share; `internal` is exposed to nobody.
-- Rows that people look at are published (see 20261122000002); what the machine writes every beat
-- (stack_schedule, agent_states, agent_executions) and big bodies are not, so that watching costs little.

create schema internal;
comment on schema internal is 'Helpers of triggers, policies and verbs. Not exposed through the API.';
revoke all on schema internal from public;

-- Database time is the only time. Test databases own a table internal.test_clock(at timestamptz) with one row; no other does.
create function internal.clock() returns timestamptz
language plpgsql stable set search_path = '' as $$
declare
  fake timestamptz;
begin
  if to_regclass('internal.test_clock') is not null then
    execute 'select at from internal.test_clock limit 1' into fake;
  end if;
  return coalesce(fake, now());
end $$;

create table public.agent_stacks (
  id uuid primary key default gen_random_uuid(),
  participant_name text not null check (char_length(btrim(participant_name)) between 1 and 80),
  phase text not null default 'ideation' check (phase in ('ideation', 'building', 'demo', 'complete')),
  team_type text not null default 'standard' check (team_type in ('standard')),
  execution_state text not null default 'idle' check (execution_state in ('idle', 'running', 'paused', 'stopped')),
  priority smallint not null default 5 check (priority between 0 and 10),
  cadence_s integer check (cadence_s between 1 and 86400),
  created_at timestamptz not null default now(),
  started_at timestamptz,
  paused_at timestamptz,
  stopped_at timestamptz,
  woken_at timestamptz,
  updated_at timestamptz not null default now()
);
comment on table public.agent_stacks is 'One row a stack: a team of agents working on one project. Play, pause and stop are an UPDATE of execution_state.';
comment on column public.agent_stacks.cadence_s is 'Seconds between routine runs of one agent; null takes the daemon''s.';
comment on column public.agent_stacks.woken_at is 'Touched when a person made work: the UPDATE is the signal that wakes the daemon.';
create index agent_stacks_running on public.agent_stacks (priority desc, id) where execution_state = 'running';

create table public.stack_status (
  stack_id uuid primary key references public.agent_stacks on delete cascade,
  wait_reason text,
  wait_until timestamptz,
  activity jsonb not null default '{}',
  updated_at timestamptz not null default now()
);
comment on table public.stack_status is 'What runs now and why a stack waits; written only when it changes.';
comment on column public.stack_status.activity is 'The runs in flight by agent: {"planner": {"reason": text, "since": timestamptz}}.';

create table public.stack_schedule (
  stack_id uuid primary key references public.agent_stacks on delete cascade,
  due_at timestamptz,
  lease_owner uuid,
  lease_expires_at timestamptz,
  claimed_at timestamptz,
  fence bigint not null default 0,
  wakes bigint not null default 0,
  by_hand boolean not null default false,
  total_cycles bigint not null default 0,
  overruns bigint not null default 0,
  last_executed_at timestamptz
);
comment on table public.stack_schedule is 'The machine''s side of a stack: when it is due, who may write for it (lease) and the number that proves it (fence).';
comment on column public.stack_schedule.due_at is 'Null: nothing to do until a wake.';
comment on column public.stack_schedule.wakes is 'Counts wakes: one that arrives during a cycle makes the stack due again at its end.';
comment on column public.stack_schedule.by_hand is 'The current claim was made for one stack by hand: its runs may begin in any state.';
comment on column public.stack_schedule.overruns is 'Whole cadences that passed while a cycle was still running; they are coalesced into the next one.';
create index stack_schedule_due on public.stack_schedule (due_at) where due_at is not null;

-- Wakes that found their stack locked; the next claim reads and clears them.
create table internal.late_wakes (
  id bigint generated always as identity primary key,
  stack_id uuid not null references public.agent_stacks on delete cascade
);
create index late_wakes_stack on internal.late_wakes (stack_id);

create table public.agent_states (
  stack_id uuid not null references public.agent_stacks on delete cascade,
  agent_type text not null check (agent_type ~ '^[a-z][a-z0-9_]{0,39}$'),
  memory jsonb not null default '{}',
  inbox jsonb not null default '{}',
  current_context jsonb not null default '{}',
  last_run_at timestamptz,
  updated_at timestamptz not null default now(),
  primary key (stack_id, agent_type)
);
comment on column public.agent_states.memory is 'Long-term memory, patched by key and only by the agent itself.';
comment on column public.agent_states.inbox is 'What other agents left for this one: {id: item}; only the reader removes items, by id.';

create table public.project_ideas (
  id uuid primary key default gen_random_uuid(),
  stack_id uuid not null unique references public.agent_stacks on delete cascade,
  title text not null check (char_length(btrim(title)) between 1 and 200),
  description text not null default '' check (char_length(description) <= 4000),
  status text not null default 'ideation' check (status in ('ideation', 'approved', 'in_progress', 'completed')),
  created_by text not null default 'operator',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table public.todos (
  id uuid primary key default gen_random_uuid(),
  stack_id uuid not null references public.agent_stacks on delete cascade,
  content text not null check (char_length(btrim(content)) between 1 and 2000),
  status text not null default 'pending' check (status in ('pending', 'in_progress', 'completed', 'cancelled', 'failed')),
  priority smallint not null default 5 check (priority between 1 and 10),
  assigned_to text not null default 'builder' check (assigned_to in ('builder', 'communicator')),
  assigned_by text not null default 'operator',
  attempts smallint not null default 0,
  available_at timestamptz,
  last_error text,
  run_id uuid,
  created_at timestamptz not null default now(),
  completed_at timestamptz,
  updated_at timestamptz not null default now(),
  check ((status = 'in_progress') = (run_id is not null))
);
comment on column public.todos.available_at is 'Not before this time (back-off after a failed attempt).';
comment on column public.todos.run_id is 'The live run that owns the todo while it is in_progress.';
create index todos_open on public.todos (stack_id, priority desc, created_at) where status in ('pending', 'in_progress', 'failed');
create index todos_by_status on public.todos (stack_id, status, completed_at desc);

create table public.messages (
  id uuid primary key default gen_random_uuid(),
  from_stack_id uuid references public.agent_stacks on delete cascade,
  to_stack_id uuid references public.agent_stacks on delete cascade,
  from_agent_type text,
  from_user_name text,
  content text not null check (char_length(btrim(content)) between 1 and 4000),
  message_type text not null check (message_type in ('broadcast', 'direct', 'visitor')),
  hop smallint not null default 0 check (hop between 0 and 10),
  simulated boolean not null default false,
  run_id uuid,
  created_at timestamptz not null default now(),
  check ((message_type = 'direct') = (to_stack_id is not null))
);
comment on column public.messages.hop is 'Answers to answers: how far from a first message this one is.';
create index messages_to on public.messages (to_stack_id, created_at desc);
create index messages_from on public.messages (from_stack_id, created_at desc);
create index messages_broadcast on public.messages (created_at desc) where message_type = 'broadcast';

create table public.message_reads (
  message_id uuid not null references public.messages on delete cascade,
  stack_id uuid not null references public.agent_stacks on delete cascade,
  status text not null check (status in ('waiting', 'claimed', 'read', 'failed')),
  attempts smallint not null default 0,
  available_at timestamptz,
  last_error text,
  run_id uuid,
  read_at timestamptz,
  primary key (message_id, stack_id)
);
create index message_reads_stack on public.message_reads (stack_id, status);

create table public.user_messages (
  id uuid primary key default gen_random_uuid(),
  stack_id uuid not null references public.agent_stacks on delete cascade,
  sender_name text not null default 'Visitor' check (char_length(btrim(sender_name)) between 1 and 40),
  content text not null check (char_length(btrim(content)) between 1 and 2000),
  status text not null default 'waiting' check (status in ('waiting', 'claimed', 'answered', 'failed')),
  response_id uuid references public.messages on delete set null,
  attempts smallint not null default 0,
  available_at timestamptz,
  last_error text,
  run_id uuid,
  created_at timestamptz not null default now(),
  answered_at timestamptz
);
comment on table public.user_messages is 'What visitors write to a stack; each gets exactly one answer or a visible failure.';
create index user_messages_stack on public.user_messages (stack_id, status, created_at);
create index user_messages_response on public.user_messages (response_id);

create table public.artifacts (
  id uuid primary key default gen_random_uuid(),
  stack_id uuid not null references public.agent_stacks on delete cascade,
  version integer not null check (version > 0),
  type text not null default 'html' check (type in ('html')),
  url text,
  created_by text not null default 'builder',
  size_bytes integer not null default 0,
  metadata jsonb not null default '{}',
  simulated boolean not null default false,
  todo_id uuid references public.todos on delete set null,
  run_id uuid,
  created_at timestamptz not null default now(),
  unique (stack_id, version)
);
create index artifacts_todo on public.artifacts (todo_id);

create table public.artifact_bodies (
  artifact_id uuid primary key references public.artifacts on delete cascade,
  content text not null check (char_length(content) between 1 and 500000)
);

create table public.agent_traces (
  id bigint generated always as identity primary key,
  stack_id uuid not null references public.agent_stacks on delete cascade,
  agent_type text not null,
  thought text not null default '' check (char_length(thought) <= 1000),
  action text not null check (char_length(action) between 1 and 80),
  result jsonb not null default '{}',
  simulated boolean not null default false,
  run_id uuid,
  created_at timestamptz not null default now()
);
create index agent_traces_stack on public.agent_traces (stack_id, id desc);
create index agent_traces_time on public.agent_traces (created_at desc);

create table public.workers (
  id uuid primary key,
  name text not null,
  version text not null,
  slots integer not null,
  started_at timestamptz not null default now(),
  heartbeat_at timestamptz not null default now(),
  stopped_at timestamptz
);

create table public.agent_executions (
  id uuid primary key,
  stack_id uuid not null references public.agent_stacks on delete cascade,
  agent_type text not null,
  worker_id uuid not null,
  fence bigint not null,
  status text not null default 'running'
    check (status in ('running', 'completed', 'failed', 'stopped', 'stale', 'deferred', 'abandoned')),
  priority smallint not null,
  reason text not null,
  work_key text not null,
  item jsonb,
  attempt smallint not null default 1,
  work_at timestamptz,
  started_at timestamptz not null default now(),
  completed_at timestamptz,
  error text
);
comment on table public.agent_executions is 'One row a run: one agent''s turn in a cycle. The id is made by the daemon, so that a repeated commit finds its old verdict.';
comment on column public.agent_executions.work_at is 'Since when the work waited: trigger-to-trace time is the trace''s created_at less this.';
create index agent_executions_stack on public.agent_executions (stack_id, started_at desc);
create index agent_executions_live on public.agent_executions (stack_id) where status = 'running';
create index agent_executions_done on public.agent_executions (completed_at) where completed_at is not null;

-- The ledger outlives everything it describes: what was spent stays counted when a stack is deleted, so no foreign keys here.
create table public.llm_calls (
  id uuid primary key,
  run_id uuid not null,
  stack_id uuid not null,
  agent_type text not null,
  attempt smallint not null,
  provider text not null,
  model text not null,
  tokens_in integer not null default 0,
  tokens_out integer not null default 0,
  tokens_cached integer not null default 0,
  cost_usd numeric(14, 8) not null default 0,
  latency_ms integer not null default 0,
  finish_reason text,
  error text,
  simulated boolean not null default false,
  created_at timestamptz not null default now()
);
create index llm_calls_run on public.llm_calls (run_id);
create index llm_calls_stack on public.llm_calls (stack_id, created_at desc);
create index llm_calls_time on public.llm_calls (created_at);

create table public.llm_replies (
  call_id uuid primary key references public.llm_calls on delete cascade,
  body text not null
);

-- Token buckets of visitors' chat: one per stack and one over all.
create table internal.chat_limits (
  scope text primary key check (scope in ('stack', 'all')),
  capacity integer not null check (capacity > 0),
  per_second numeric not null check (per_second > 0)
);
insert into internal.chat_limits values ('stack', 20, 1), ('all', 200, 20);

create table internal.chat_buckets (
  key text primary key,
  tokens numeric not null,
  refilled_at timestamptz not null
);
