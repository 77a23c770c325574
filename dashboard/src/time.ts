/** Ages and countdowns in words, and one clock that ticks for everybody. */

import { useSyncExternalStore } from "react";
import { Cell } from "./store";

const clock = new Cell(Date.now());
setInterval(() => {
  if (!document.hidden) clock.set(Date.now());
}, 1000);

export const useNow = (): number => useSyncExternalStore(clock.subscribe, clock.get);

export function duration(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${s % 60}s`;
  if (s < 86_400) return `${Math.floor(s / 3600)}h ${Math.floor((s % 3600) / 60)}m`;
  return `${Math.floor(s / 86_400)}d ${Math.floor((s % 86_400) / 3600)}h`;
}

/** One unit only: for dense lists. */
export function age(at: string, now: number): string {
  const s = Math.max(0, Math.round((now - Date.parse(at)) / 1000));
  if (s < 2) return "now";
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m`;
  if (s < 86_400) return `${Math.floor(s / 3600)}h`;
  return `${Math.floor(s / 86_400)}d`;
}

/** Time left until `at`, or null when it has passed. */
export function remaining(at: string | null, now: number): string | null {
  if (at === null) return null;
  const left = Date.parse(at) - now;
  return left > 0 ? duration(left) : null;
}
