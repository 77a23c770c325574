/** Which stacks the fleet page shows, and in what order: a pure function of the rows and the address. */

import { EXECUTION_STATES, type ExecutionState, type Idea, type Stack, type StackStatus, type Trace } from "./rows";

export const SORTS = ["name", "activity", "newest"] as const;
export type Sort = (typeof SORTS)[number];

export interface FleetFilter {
  text: string;
  state: ExecutionState | null;
  sort: Sort;
}

interface Lookup<Row> {
  get: (key: string) => Row | undefined;
}

export function filterFrom(search: URLSearchParams): FleetFilter {
  const state = EXECUTION_STATES.find((known) => known === search.get("state")) ?? null;
  const sort = SORTS.find((known) => known === search.get("sort")) ?? "name";
  return { text: (search.get("q") ?? "").slice(0, 100), state, sort };
}

/** Every word must occur in the name, the idea, the phase or the id. */
export function matches(stack: Stack, idea: Idea | undefined, filter: Pick<FleetFilter, "text">): boolean {
  const words = filter.text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const text = `${stack.participant_name} ${idea?.title ?? ""} ${stack.phase} ${stack.id}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

export function arrange(
  stacks: readonly Stack[],
  ideas: Lookup<Idea>,
  traces: Lookup<Trace>,
  filter: FleetFilter,
): Stack[] {
  const shown = stacks.filter(
    (stack) => (filter.state === null || stack.execution_state === filter.state) && matches(stack, ideas.get(stack.id), filter),
  );
  return shown.sort(order(filter.sort, traces));
}

function order(sort: Sort, traces: Lookup<Trace>): (a: Stack, b: Stack) => number {
  const byName = (a: Stack, b: Stack) => collator.compare(a.participant_name, b.participant_name) || a.id.localeCompare(b.id);
  switch (sort) {
    case "name":
      return byName;
    case "activity":
      return (a, b) => (traces.get(b.id)?.id ?? 0) - (traces.get(a.id)?.id ?? 0) || byName(a, b);
    case "newest":
      return (a, b) => b.created_at.localeCompare(a.created_at) || byName(a, b);
  }
}

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

export interface Totals {
  all: number;
  states: Record<ExecutionState, number>;
  agentsAtWork: number;
}

export function totals(stacks: readonly Stack[], statuses: readonly StackStatus[]): Totals {
  const states: Record<ExecutionState, number> = { running: 0, paused: 0, idle: 0, stopped: 0 };
  for (const stack of stacks) states[stack.execution_state] += 1;
  const agentsAtWork = statuses.reduce((sum, status) => sum + Object.keys(status.activity).length, 0);
  return { all: stacks.length, states, agentsAtWork };
}
