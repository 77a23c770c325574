/** What the fleet page follows: one row per stack in each of five tables, all keyed by the stack's id. */

import type { SupabaseClient } from "@supabase/supabase-js";
import type { Source } from "../live";
import { rowsOf } from "../refusal";
import type { Artifact, Idea, Stack, StackStatus, Trace } from "../rows";
import { type Key, Table } from "../store";

export interface Fleet {
  stacks: Table<Stack>;
  statuses: Table<StackStatus>;
  ideas: Table<Idea>;
  traces: Table<Trace>;
  artifacts: Table<Artifact>;
}

const PAGE = 500;
const STACK = "id,participant_name,phase,execution_state,priority,created_at,started_at,updated_at";
const STATUS = "stack_id,wait_reason,wait_until,activity,updated_at";
const IDEA = "id,stack_id,title,description,status,created_by,updated_at";
const TRACE = "id,stack_id,agent_type,thought,action,simulated,created_at";
const ARTIFACT = "id,stack_id,version,type,size_bytes,metadata,simulated,created_at";

export function createFleet(): Fleet {
  return {
    stacks: new Table<Stack>({ key: (row) => row.id, version: (row) => row.updated_at }),
    statuses: new Table<StackStatus>({ key: (row) => row.stack_id, version: (row) => row.updated_at }),
    ideas: new Table<Idea>({ key: (row) => row.stack_id, version: (row) => row.updated_at }),
    traces: new Table<Trace>({ key: (row) => row.stack_id, version: (row) => row.id }),
    artifacts: new Table<Artifact>({ key: (row) => row.stack_id, version: (row) => row.version }),
  };
}

export function fleetSources(fleet: Fleet): Source[] {
  const stacks: Source<Stack> = {
    table: "agent_stacks",
    event: "*",
    into: fleet.stacks,
    merge: "all",
    dropKey: (old) => old.id ?? null,
    fetch: async (client, since) => {
      const rows = await paged<Stack>((from, to) => changed(client, "agent_stacks", STACK, "id", since).range(from, to));
      if (since === null) return { rows, alive: new Set<Key>(rows.map((row) => row.id)) };
      const ids = await paged<Stack>((from, to) => client.from("agent_stacks").select("id").order("id").range(from, to));
      return { rows, alive: new Set<Key>(ids.map((row) => row.id)) };
    },
  };
  const statuses: Source<StackStatus> = {
    table: "stack_status",
    event: "*",
    into: fleet.statuses,
    merge: "all",
    dropKey: (old) => old.stack_id ?? null,
    fetch: async (client, since) => ({
      rows: await paged((from, to) => changed(client, "stack_status", STATUS, "stack_id", since).range(from, to)),
    }),
  };
  const ideas: Source<Idea> = {
    table: "project_ideas",
    event: "*",
    into: fleet.ideas,
    merge: "all",
    dropKey: () => null, // goes with its stack
    fetch: async (client, since) => ({
      rows: await paged((from, to) => changed(client, "project_ideas", IDEA, "stack_id", since).range(from, to)),
    }),
  };
  const traces: Source<Trace> = {
    table: "agent_traces",
    event: "INSERT",
    into: fleet.traces,
    merge: "newer",
    dropKey: () => null,
    fetch: async (client) => ({ rows: await latest<Trace>(client, "agent_traces", TRACE, "id") }),
  };
  const artifacts: Source<Artifact> = {
    table: "artifacts",
    event: "INSERT",
    into: fleet.artifacts,
    merge: "newer",
    dropKey: () => null,
    fetch: async (client) => ({ rows: await latest<Artifact>(client, "artifacts", ARTIFACT, "version") }),
  };
  return [stacks, statuses, ideas, traces, artifacts];
}

function changed(client: SupabaseClient, table: string, columns: string, key: string, since: string | null) {
  const query = client.from(table).select(columns);
  return (since === null ? query : query.gte("updated_at", since)).order(key);
}

/** The newest row of `table` for every stack: one row per parent through an embed. */
async function latest<Row>(client: SupabaseClient, table: string, columns: string, order: string): Promise<Row[]> {
  const parents = await paged<Record<string, Row[]>>((from, to) =>
    client
      .from("agent_stacks")
      .select(`id,${table}(${columns})`)
      .order(order, { referencedTable: table, ascending: false })
      .limit(1, { referencedTable: table })
      .order("id")
      .range(from, to),
  );
  return parents.flatMap((parent) => parent[table] ?? []);
}

async function paged<Row>(
  page: (from: number, to: number) => PromiseLike<{ data: unknown; error: { code?: string; message: string } | null }>,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (;;) {
    const next = await rowsOf<Row>(page(rows.length, rows.length + PAGE - 1));
    rows.push(...next);
    if (next.length < PAGE) return rows;
  }
}
