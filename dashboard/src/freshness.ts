/** How far the page lags the database, whether the socket is up, and what a broken connection made it miss. */

import { Cell } from "./store";

export type Connection = "connecting" | "live" | "reconnecting" | "offline";

export interface Freshness {
  connection: Connection;
  /** When the connection last changed, ms. */
  since: number;
  /** Commit to paint over the last changes, ms; null before the first one. */
  lag: { p50: number; p95: number } | null;
  changes: number;
  /** Rows that were caught up after reconnects. */
  recovered: number;
  reconnects: number;
  /** What went wrong last, in words. */
  problem: string | null;
}

const SAMPLES = 256;

export class FreshnessMeter {
  readonly cell = new Cell<Freshness>({
    connection: "connecting",
    since: Date.now(),
    lag: null,
    changes: 0,
    recovered: 0,
    reconnects: 0,
    problem: null,
  });
  private readonly samples: number[] = [];
  private next = 0;

  connection(connection: Connection, problem: string | null = null): void {
    const now = this.cell.get();
    if (now.connection === connection && now.problem === problem) return;
    const since = now.connection === connection ? now.since : Date.now();
    this.cell.set({ ...now, connection, problem, since });
  }

  /** `lags` are ms from commit to paint of the changes in one frame. */
  painted(lags: readonly number[]): void {
    for (const lag of lags) {
      // A database clock ahead of ours would give less than nothing.
      this.samples[this.next++ % SAMPLES] = Math.max(0, lag);
    }
    const now = this.cell.get();
    this.cell.set({ ...now, changes: now.changes + lags.length, lag: percentiles(this.samples) });
  }

  recovered(rows: number): void {
    const now = this.cell.get();
    this.cell.set({ ...now, recovered: now.recovered + rows });
  }

  reconnected(): void {
    const now = this.cell.get();
    this.cell.set({ ...now, reconnects: now.reconnects + 1 });
  }
}

export function percentiles(samples: readonly number[]): { p50: number; p95: number } | null {
  if (samples.length === 0) return null;
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return { p50: at(0.5), p95: at(0.95) };
}
