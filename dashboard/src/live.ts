/**
 * A live query: tables that follow the database.
 *
 * Order is everything. The channel is joined first, then the snapshot is fetched, so nothing committed in between is
 * missed; changes that arrive meanwhile are held and merged after it, dropping those older than the row they meet.
 * The socket is a hint, the table is the truth: after every rejoin, and every few seconds while there is no socket,
 * what changed since the last sync is fetched again and rows that are gone are dropped.
 *
 * Changes are applied once a frame. Everything held is bounded; what does not fit is thrown away and fetched instead.
 */

import type { RealtimeChannel, RealtimePostgresChangesPayload, SupabaseClient } from "@supabase/supabase-js";
import { afterPaint, frameScheduler } from "./frame";
import type { FreshnessMeter } from "./freshness";
import { Cell, type Change, type Key, type Table } from "./store";

export interface Fetched<Row> {
  rows: readonly Row[];
  /** The keys that exist now, where the fetch knows them all. */
  alive?: ReadonlySet<Key>;
}

export interface Source<Row extends object = any> {
  table: string;
  /** A Realtime filter, such as `stack_id=eq.<uuid>`. */
  filter?: string;
  event: "*" | "INSERT";
  into: Table<Row>;
  /** "newer" where the table holds one row per key out of many (the latest trace of a stack). */
  merge: "all" | "newer";
  /** The key of a deleted row, of which only the primary key is known; null where it cannot be told. */
  dropKey: (old: Partial<Row>) => Key | null;
  /** All rows, or at least those changed since `since` (database time). */
  fetch: (client: SupabaseClient, since: string | null) => Promise<Fetched<Row>>;
}

export type Loading = { state: "loading" } | { state: "ready" } | { state: "failed"; reason: string };

interface Pending {
  source: Source;
  change: Change<object>;
  committedAt: number;
}

const MAX_PENDING = 5000;
const JOIN_GRACE_MS = 1500; // then the snapshot is shown without a socket
const IN_FORCE_GRACE_MS = 250; // hosted Realtime answers the join before the subscription stands, and says so later
const POLL_MS = 5000;
const OVERLAP_MS = 15_000; // longer than any statement may run, so a late commit with an early timestamp is seen

export class LiveQuery {
  readonly loading = new Cell<Loading>({ state: "loading" });
  private channel: RealtimeChannel | null = null;
  private pending: Pending[] = [];
  private held: Pending[] | null = null;
  private syncing = false;
  private again: "no" | "changed" | "everything" = "no";
  private since: string | null = null;
  private joins = 0;
  private inForceSince = 0; // the join whose subscription is known to stand
  private broken = false; // the socket was lost since the last sync: what that sync brings was missed
  private failures = 0;
  private closed = false;
  private readonly timers = new Set<ReturnType<typeof setTimeout>>();
  private readonly frame = frameScheduler(() => this.flush());

  constructor(
    private readonly client: SupabaseClient,
    private readonly name: string,
    private readonly sources: readonly Source[],
    private readonly meter: FreshnessMeter,
  ) {}

  open(): void {
    this.meter.connection("connecting");
    this.join();
    this.later(JOIN_GRACE_MS, () => {
      if (this.joins === 0) this.requestSync("everything");
    });
    this.poll();
  }

  close(): void {
    this.closed = true;
    this.frame.cancel();
    for (const timer of this.timers) clearTimeout(timer);
    if (this.channel) void this.client.removeChannel(this.channel);
  }

  /** Fetches again at once: after an error, by a person. */
  retry = (): void => {
    this.loading.set({ state: "loading" });
    this.requestSync("everything");
  };

  private join(): void {
    const channel = this.client.channel(this.name);
    for (const source of this.sources) {
      const filter = source.filter === undefined ? {} : { filter: source.filter };
      const binding = { event: source.event, schema: "public", table: source.table, ...filter };
      channel.on("postgres_changes", binding as never, (payload: RealtimePostgresChangesPayload<object>) =>
        this.receive(source, payload),
      );
    }
    channel.on("system", {}, (payload: { extension?: string; status?: string; message?: string }) => {
      if (payload.extension !== "postgres_changes") return;
      if (payload.status === "ok") this.inForce();
      else this.lost(payload.message ?? "the database refused the subscription");
    });
    channel.subscribe((status, error) => {
      if (this.closed) return;
      if (status === "SUBSCRIBED") this.joined();
      else this.lost(error?.message ?? null);
    });
    this.channel = channel;
  }

  private joined(): void {
    const join = ++this.joins;
    if (join > 1) {
      this.broken = true;
      this.meter.reconnected();
    }
    this.meter.connection("live");
    this.later(IN_FORCE_GRACE_MS, () => {
      if (this.inForceSince < join) this.requestSync("changed");
    });
  }

  private lost(problem: string | null): void {
    this.broken ||= this.joins > 0;
    this.meter.connection(navigator.onLine ? "reconnecting" : "offline", problem);
  }

  /** The subscription stands: from here on a snapshot misses nothing. */
  private inForce(): void {
    if (this.inForceSince === this.joins && !this.broken) return;
    this.inForceSince = this.joins;
    this.requestSync("changed");
  }

  private receive(source: Source, payload: RealtimePostgresChangesPayload<object>): void {
    const change = toChange(source, payload);
    if (change === null) return;
    const pending = { source, change, committedAt: Date.parse(payload.commit_timestamp) };
    const queue = this.held ?? this.pending;
    if (queue.length >= MAX_PENDING) {
      queue.length = 0;
      this.requestSync("everything");
      return;
    }
    queue.push(pending);
    if (queue === this.pending) this.frame.request();
  }

  private flush(): void {
    const batch = this.pending;
    this.pending = [];
    if (batch.length === 0) return;
    for (const source of this.sources) {
      const changes = batch.filter((pending) => pending.source === source).map((pending) => pending.change);
      if (changes.length > 0) source.into.apply(changes, source.merge);
    }
    afterPaint(() => {
      const now = Date.now();
      if (!document.hidden) this.meter.painted(batch.map((pending) => now - pending.committedAt));
    });
  }

  private requestSync(what: "changed" | "everything"): void {
    if (this.again !== "everything") this.again = what;
    if (!this.syncing) void this.sync();
  }

  private async sync(): Promise<void> {
    this.syncing = true;
    try {
      while (this.again !== "no" && !this.closed) {
        const since = this.again === "everything" ? null : this.since; // null until the first snapshot
        this.again = "no";
        await this.syncOnce(since);
      }
    } finally {
      this.syncing = false;
    }
  }

  private async syncOnce(since: string | null): Promise<void> {
    const first = this.since === null;
    const missed = this.broken || (this.joins > 0 && this.meter.cell.get().connection !== "live");
    this.broken = false;
    this.flush();
    this.held = [];
    try {
      const fetched = await Promise.all(
        this.sources.map(async (source) => ({ source, ...(await source.fetch(this.client, since)) })),
      );
      if (this.closed) return;
      let caughtUp = 0;
      for (const { source, rows, alive } of fetched) {
        const touched = source.into.apply(rows.map((row) => ({ kind: "put", row })), source.merge);
        caughtUp += touched.size + (alive ? source.into.keepOnly(alive) : 0);
      }
      this.since = newest(fetched.flatMap(({ rows }) => rows)) ?? this.since ?? new Date(0).toISOString();
      if (missed) this.meter.recovered(caughtUp);
      this.failures = 0;
      this.loading.set({ state: "ready" });
    } catch (error) {
      if (this.closed) return;
      this.broken ||= missed;
      const reason = error instanceof Error ? error.message : String(error);
      if (first) this.loading.set({ state: "failed", reason });
      this.later(Math.min(15_000, 1000 * 2 ** this.failures++), () => this.requestSync("changed"));
    } finally {
      const held = this.held ?? [];
      this.held = null;
      for (const { source, change } of held) source.into.apply([change], "newer");
    }
  }

  /** Without a socket the page keeps asking. */
  private poll(): void {
    this.later(POLL_MS, () => {
      const live = this.meter.cell.get().connection === "live";
      if (!live && !document.hidden && this.joins + this.failures > 0) this.requestSync("changed");
      this.poll();
    });
  }

  private later(ms: number, work: () => void): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      if (!this.closed) work();
    }, ms);
    this.timers.add(timer);
  }
}

export function toChange<Row extends object>(
  source: Pick<Source<Row>, "dropKey">,
  payload: RealtimePostgresChangesPayload<object>,
): Change<Row> | null {
  if (payload.errors) return null; // an unreadable row carries no data; the next sync brings it
  if (payload.eventType !== "DELETE") return { kind: "put", row: payload.new as Partial<Row> };
  const key = source.dropKey(payload.old as Partial<Row>);
  return key === null ? null : { kind: "drop", key };
}

/** The newest database time among the rows, less an overlap. */
export function newest(rows: readonly object[]): string | null {
  let latest = Number.NEGATIVE_INFINITY;
  for (const row of rows as readonly { updated_at?: string; created_at?: string }[]) {
    const at = Date.parse(row.updated_at ?? row.created_at ?? "");
    if (at > latest) latest = at;
  }
  return Number.isFinite(latest) ? new Date(latest - OVERLAP_MS).toISOString() : null;
}
