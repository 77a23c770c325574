/**
 * Rows of the public tables, as PostgREST and Realtime deliver them.
 *
 * Columns and their types are those that scripts/types reads off the database (database.types.ts); said here is what the
 * page reads of each table, and the words and shapes to which checks in supabase/migrations bind a column.
 */

import type { Database } from "./database.types";

type Tables = Database["public"]["Tables"];
/** Some columns of a table, some of them narrower than the database's type says. */
type Row<Name extends keyof Tables, Columns extends keyof Tables[Name]["Row"], Narrower extends Partial<Record<Columns, unknown>> = {}> = Omit<
  Pick<Tables[Name]["Row"], Columns>,
  keyof Narrower
> &
  Narrower;

export const EXECUTION_STATES = ["running", "paused", "idle", "stopped"] as const;
export type ExecutionState = (typeof EXECUTION_STATES)[number];

export const PHASES = ["ideation", "building", "demo", "complete"] as const;
export type Phase = (typeof PHASES)[number];

export const AGENTS = ["planner", "builder", "communicator", "reviewer"] as const;
export type AgentType = (typeof AGENTS)[number];

export type Stack = Row<
  "agent_stacks",
  "id" | "participant_name" | "phase" | "execution_state" | "priority" | "created_at" | "started_at" | "updated_at",
  { phase: Phase; execution_state: ExecutionState }
>;

export interface Activity {
  reason: string;
  since: string;
}

export type StackStatus = Row<
  "stack_status",
  "stack_id" | "wait_reason" | "wait_until" | "activity" | "updated_at",
  { activity: Partial<Record<AgentType, Activity>> }
>;

export type Idea = Row<
  "project_ideas",
  "id" | "stack_id" | "title" | "description" | "status" | "created_by" | "updated_at"
>;

export type TodoStatus = "pending" | "in_progress" | "completed" | "cancelled" | "failed";

export type Todo = Row<
  "todos",
  | "id"
  | "stack_id"
  | "content"
  | "status"
  | "priority"
  | "assigned_to"
  | "attempts"
  | "last_error"
  | "created_at"
  | "completed_at"
  | "updated_at",
  { status: TodoStatus }
>;

export type Trace = Row<
  "agent_traces",
  "id" | "stack_id" | "agent_type" | "thought" | "action" | "simulated" | "created_at"
>;

/** Metadata of one version; the page itself is in artifact_bodies and fetched when it is shown. */
export type Artifact = Row<
  "artifacts",
  "id" | "stack_id" | "version" | "type" | "size_bytes" | "metadata" | "simulated" | "created_at",
  { metadata: { description?: string } }
>;

export type ChatLine = Row<
  "user_messages",
  | "id"
  | "stack_id"
  | "sender_name"
  | "content"
  | "status"
  | "response_id"
  | "last_error"
  | "created_at"
  | "answered_at",
  { status: "waiting" | "claimed" | "answered" | "failed" }
>;

type SpendingToday = Database["public"]["Views"]["spending_today"]["Row"];

/** A stack's sums of today; a row is there only where something was asked, so none of them is null. */
export type Spent = { stack_id: string } & {
  [Column in "calls" | "failed" | "tokens_in" | "tokens_out" | "cost_usd"]: NonNullable<SpendingToday[Column]>;
};

export type Message = Row<
  "messages",
  "id" | "from_stack_id" | "to_stack_id" | "content" | "message_type" | "simulated" | "created_at"
>;
