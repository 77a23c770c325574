/** How values of the database are said to people. */

import type { AgentType, ExecutionState, Phase, TodoStatus } from "../rows";

export const STATE_WORDS: Record<ExecutionState, string> = {
  running: "Running",
  paused: "Paused",
  idle: "Idle",
  stopped: "Stopped",
};

export const PHASE_WORDS: Record<Phase, string> = {
  ideation: "Ideation",
  building: "Building",
  demo: "Demo",
  complete: "Complete",
};

export const AGENT_WORDS: Record<AgentType, { name: string; letter: string; job: string }> = {
  planner: { name: "Planner", letter: "P", job: "owns the idea, the todos and the phase" },
  builder: { name: "Builder", letter: "B", job: "turns one todo at a time into a working page" },
  communicator: { name: "Communicator", letter: "C", job: "answers visitors and other teams" },
  reviewer: { name: "Reviewer", letter: "R", job: "audits the newest version and advises" },
};

export const TODO_WORDS: Record<TodoStatus, string> = {
  pending: "Pending",
  in_progress: "In progress",
  completed: "Done",
  cancelled: "Cancelled",
  failed: "Failed",
};

export const agentName = (type: string): string =>
  type in AGENT_WORDS ? AGENT_WORDS[type as AgentType].name : capital(type);

export const actionWords = (action: string): string => action.replaceAll("_", " ");

export const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

export const count = (n: number, one: string, many = `${one}s`): string =>
  `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

/** Dollars: cents, or where there are too few of them, parts of a cent. */
export function usd(amount: number): string {
  if (amount > 0 && amount < 0.0001) return "< $0.0001";
  const digits = amount === 0 || amount >= 0.1 ? 2 : 4;
  return `$${amount.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })}`;
}

export const compact = (n: number): string =>
  n.toLocaleString("en", { notation: "compact", maximumFractionDigits: 1 });

export function bytes(size: number): string {
  return size < 1024 ? `${size} B` : `${(size / 1024).toFixed(size < 10_240 ? 1 : 0)} kB`;
}
