/** What was spent today, a row a stack, for operators. The ledger is not published, so the page asks now and then. */

import type { SupabaseClient } from "@supabase/supabase-js";
import { rowsOf } from "../refusal";
import type { Spent } from "../rows";
import { Cell } from "../store";

export interface Sum {
  calls: number;
  failed: number;
  tokens: number;
  usd: number;
}

export type Today = { state: "loading" } | { state: "failed"; reason: string } | { state: "ready"; rows: readonly Spent[] };

const EVERY_MS = 10_000;
const COLUMNS = "stack_id,calls,failed,tokens_in,tokens_out,cost_usd";
const PAGE = 500;

export class SpendingToday {
  readonly cell = new Cell<Today>({ state: "loading" });
  private timer: ReturnType<typeof setTimeout> | undefined;
  private closed = false;

  constructor(private readonly client: SupabaseClient) {}

  open(): void {
    this.closed = false;
    void this.look();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
  }

  private async look(): Promise<void> {
    if (!document.hidden) {
      const found = await this.fetch();
      if (this.closed) return;
      this.cell.set(found);
    }
    this.timer = setTimeout(() => void this.look(), EVERY_MS);
  }

  /** What was known stays where the next look fails: the figures are then a little older, and say so nowhere else. */
  private async fetch(): Promise<Today> {
    try {
      const rows: Spent[] = [];
      for (;;) {
        const page = this.client.from("spending_today").select(COLUMNS).order("stack_id").range(rows.length, rows.length + PAGE - 1);
        const next = await rowsOf<Spent>(page);
        rows.push(...next);
        if (next.length < PAGE) return { state: "ready", rows };
      }
    } catch (error) {
      const known = this.cell.get();
      if (known.state === "ready") return known;
      return { state: "failed", reason: error instanceof Error ? error.message : String(error) };
    }
  }
}

export const sumOf = (rows: readonly Spent[]): Sum =>
  rows.reduce<Sum>(
    (sum, row) => ({
      calls: sum.calls + row.calls,
      failed: sum.failed + row.failed,
      tokens: sum.tokens + row.tokens_in + row.tokens_out,
      usd: sum.usd + row.cost_usd,
    }),
    { calls: 0, failed: 0, tokens: 0, usd: 0 },
  );

export interface SpentBy extends Sum {
  name: string;
  id: string | null;
}

/** A line a stack, the dearest first, then by tokens; what stacks spent that are gone is one line. */
export function byStack(rows: readonly Spent[], nameOf: (id: string) => string | undefined): SpentBy[] {
  const known = rows.flatMap((row) => {
    const name = nameOf(row.stack_id);
    return name === undefined ? [] : [{ ...sumOf([row]), name, id: row.stack_id }];
  });
  const gone = rows.filter((row) => nameOf(row.stack_id) === undefined);
  const lines: SpentBy[] = gone.length === 0 ? known : [...known, { ...sumOf(gone), name: "Deleted stacks", id: null }];
  return lines.sort((a, b) => b.usd - a.usd || b.tokens - a.tokens || a.name.localeCompare(b.name));
}
