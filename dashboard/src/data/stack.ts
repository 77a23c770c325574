/** What the page of one stack follows. Each fetch is the whole bounded list, so it also tells which rows are gone. */

import type { SupabaseClient } from "@supabase/supabase-js";
import type { Source } from "../live";
import { rowsOf } from "../refusal";
import type { Artifact, ChatLine, Idea, Message, Stack, StackStatus, Todo, Trace } from "../rows";
import { type Key, Table } from "../store";

export interface StackData {
  stack: Table<Stack>;
  status: Table<StackStatus>;
  idea: Table<Idea>;
  todos: Table<Todo>;
  traces: Table<Trace>;
  artifacts: Table<Artifact>;
  chat: Table<ChatLine>;
  messages: Table<Message>;
}

const MAX_TODOS = 200;
const MAX_TRACES = 200;
const MAX_ARTIFACTS = 100;
const MAX_CHAT = 50;

const byCreation = (a: { created_at: string }, b: { created_at: string }) => a.created_at.localeCompare(b.created_at);

export function createStackData(): StackData {
  return {
    stack: new Table<Stack>({ key: (row) => row.id, version: (row) => row.updated_at }),
    status: new Table<StackStatus>({ key: (row) => row.stack_id, version: (row) => row.updated_at }),
    idea: new Table<Idea>({ key: (row) => row.stack_id, version: (row) => row.updated_at }),
    todos: new Table<Todo>({ key: (row) => row.id, version: (row) => row.updated_at, limit: 2 * MAX_TODOS, oldest: byCreation }),
    traces: new Table<Trace>({ key: (row) => row.id, limit: MAX_TRACES, oldest: (a, b) => a.id - b.id }),
    artifacts: new Table<Artifact>({ key: (row) => row.id, limit: MAX_ARTIFACTS, oldest: (a, b) => a.version - b.version }),
    chat: new Table<ChatLine>({ key: (row) => row.id, limit: 2 * MAX_CHAT, oldest: byCreation }),
    messages: new Table<Message>({ key: (row) => row.id, limit: 2 * MAX_CHAT, oldest: byCreation }),
  };
}

export function stackSources(data: StackData, id: string): Source[] {
  const of = (column: string) => ({ filter: `${column}=eq.${id}`, column });
  return [
    source(data.stack, "agent_stacks", of("id"), "created_at", 1, (old) => old.id ?? null),
    source(data.status, "stack_status", of("stack_id"), "updated_at", 1, (old) => old.stack_id ?? null),
    source(data.idea, "project_ideas", of("stack_id"), "updated_at", 1, () => null),
    source(data.todos, "todos", of("stack_id"), "created_at", MAX_TODOS, (old) => old.id ?? null),
    source(data.traces, "agent_traces", of("stack_id"), "id", MAX_TRACES, (old) => old.id ?? null),
    source(data.artifacts, "artifacts", of("stack_id"), "version", MAX_ARTIFACTS, (old) => old.id ?? null),
    source(data.chat, "user_messages", of("stack_id"), "created_at", MAX_CHAT, (old) => old.id ?? null),
    source(data.messages, "messages", of("from_stack_id"), "created_at", MAX_CHAT, (old) => old.id ?? null),
  ];

  function source<Row extends object>(
    into: Table<Row>,
    table: string,
    { filter, column }: { filter: string; column: string },
    newestBy: string,
    limit: number,
    dropKey: Source<Row>["dropKey"],
  ): Source {
    const fetch = async (client: SupabaseClient) => {
      const query = client.from(table).select("*").eq(column, id);
      const rows = await rowsOf<Row>(query.order(newestBy, { ascending: false }).limit(limit));
      return { rows, alive: new Set<Key>(rows.map((row) => into.key(row))) };
    };
    return { table, filter, event: "*", into, merge: "all", dropKey, fetch } satisfies Source<Row>;
  }
}

export async function fetchArtifactBody(client: SupabaseClient, artifactId: string): Promise<string | null> {
  const bodies = client.from("artifact_bodies").select("content").eq("artifact_id", artifactId);
  const [body] = await rowsOf<{ content: string }>(bodies);
  return body?.content ?? null;
}
