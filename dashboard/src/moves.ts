/** Which moves of execution_state the database allows; the triggers have the last word. */

import type { ExecutionState } from "./rows";

export type Move = "play" | "pause" | "resume" | "stop";

const TARGET: Record<Move, ExecutionState> = { play: "running", pause: "paused", resume: "running", stop: "stopped" };

const FROM: Record<Move, readonly ExecutionState[]> = {
  play: ["idle", "stopped"],
  pause: ["running"],
  resume: ["paused"],
  stop: ["running", "paused"],
};

export const target = (move: Move): ExecutionState => TARGET[move];

export const allowed = (move: Move, from: ExecutionState): boolean => FROM[move].includes(from);
