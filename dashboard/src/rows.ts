/** Rows of the public tables, as PostgREST and Realtime deliver them (supabase/migrations holds the definitions). */

export const EXECUTION_STATES = ["running", "paused", "idle", "stopped"] as const;
export type ExecutionState = (typeof EXECUTION_STATES)[number];

export const PHASES = ["ideation", "building", "demo", "complete"] as const;
export type Phase = (typeof PHASES)[number];

export const AGENTS = ["planner", "builder", "communicator", "reviewer"] as const;
export type AgentType = (typeof AGENTS)[number];

export interface Stack {
  id: string;
  participant_name: string;
  phase: Phase;
  execution_state: ExecutionState;
  priority: number;
  created_at: string;
  started_at: string | null;
  updated_at: string;
}

export interface Activity {
  reason: string;
  since: string;
}

export interface StackStatus {
  stack_id: string;
  wait_reason: string | null;
  wait_until: string | null;
  activity: Partial<Record<AgentType, Activity>>;
  updated_at: string;
}

export interface Idea {
  id: string;
  stack_id: string;
  title: string;
  description: string;
  status: string;
  created_by: string;
  updated_at: string;
}

export type TodoStatus = "pending" | "in_progress" | "completed" | "cancelled" | "failed";

export interface Todo {
  id: string;
  stack_id: string;
  content: string;
  status: TodoStatus;
  priority: number;
  assigned_to: string;
  attempts: number;
  last_error: string | null;
  created_at: string;
  completed_at: string | null;
  updated_at: string;
}

export interface Trace {
  id: number;
  stack_id: string;
  agent_type: string;
  thought: string;
  action: string;
  simulated: boolean;
  created_at: string;
}

/** Metadata of one version; the page itself is in artifact_bodies and fetched when it is shown. */
export interface Artifact {
  id: string;
  stack_id: string;
  version: number;
  type: string;
  size_bytes: number | null;
  metadata: { description?: string } | null;
  simulated: boolean;
  created_at: string;
}

export interface ChatLine {
  id: string;
  stack_id: string;
  sender_name: string;
  content: string;
  status: "waiting" | "claimed" | "answered" | "failed";
  response_id: string | null;
  last_error: string | null;
  created_at: string;
  answered_at: string | null;
}

export interface Message {
  id: string;
  from_stack_id: string | null;
  to_stack_id: string | null;
  content: string;
  message_type: string;
  simulated: boolean;
  created_at: string;
}
