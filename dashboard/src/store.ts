/**
 * Rows live here, outside React: one keyed table per kind of row. Changes are applied in batches; each batch tells the
 * subscribers of the rows that changed, and once the subscribers of the whole table. Components read one row or one
 * aggregate, so a change to one stack renders one stack.
 */

export type Key = string | number;

export type Change<Row> = { kind: "put"; row: Partial<Row> } | { kind: "drop"; key: Key };

export interface TableOptions<Row> {
  key: (row: Row) => Key;
  /** Orders two values of one row; missing means "the later arrival wins". */
  version?: (row: Row) => string | number;
  /** Keep at most this many rows, dropping those that `oldest` puts first. */
  limit?: number;
  oldest?: (a: Row, b: Row) => number;
}

type Listener = () => void;

export class Table<Row extends object> {
  readonly key: (row: Row) => Key;
  private readonly rows = new Map<Key, Row>();
  private readonly rowListeners = new Map<Key, Set<Listener>>();
  private readonly tableListeners = new Set<Listener>();
  private snapshot: readonly Row[] | null = null;

  constructor(private readonly options: TableOptions<Row>) {
    this.key = options.key;
  }

  get(key: Key): Row | undefined {
    return this.rows.get(key);
  }

  get size(): number {
    return this.rows.size;
  }

  keys(): Key[] {
    return [...this.rows.keys()];
  }

  /** Every row; the same array until something changes, as useSyncExternalStore asks. */
  all = (): readonly Row[] => (this.snapshot ??= [...this.rows.values()]);

  /**
   * Applies a batch and tells the listeners. Returns the keys that really changed.
   * A put may lack columns (Postgres leaves unchanged large values out of an update): they are kept from the old row.
   * `only` = "newer" drops puts whose version is below the row's: how a change that arrived during a snapshot is merged.
   */
  apply(changes: readonly Change<Row>[], only: "all" | "newer" = "all"): Set<Key> {
    const touched = new Set<Key>();
    for (const change of changes) {
      const key = change.kind === "put" ? this.put(change.row, only) : this.drop(change.key);
      if (key !== null) touched.add(key);
    }
    if (touched.size > 0) {
      this.trim(touched);
      this.announce(touched);
    }
    return touched;
  }

  /** Drops the rows whose key is not in `alive`; returns how many went. */
  keepOnly(alive: ReadonlySet<Key>): number {
    const gone = this.keys().filter((key) => !alive.has(key));
    this.apply(gone.map((key) => ({ kind: "drop", key })));
    return gone.length;
  }

  subscribe = (listener: Listener): (() => void) => {
    this.tableListeners.add(listener);
    return () => this.tableListeners.delete(listener);
  };

  subscribeRow(key: Key, listener: Listener): () => void {
    const listeners = this.rowListeners.get(key) ?? new Set();
    this.rowListeners.set(key, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.rowListeners.get(key) === listeners) this.rowListeners.delete(key);
    };
  }

  private put(row: Partial<Row>, only: "all" | "newer"): Key | null {
    const key = this.options.key(row as Row);
    const old = this.rows.get(key);
    const merged = old ? { ...old, ...row } : (row as Row);
    if (old && only === "newer" && this.isOlder(merged, old)) return null;
    if (old && sameRow(old, merged)) return null;
    this.rows.set(key, merged);
    return key;
  }

  private drop(key: Key): Key | null {
    return this.rows.delete(key) ? key : null;
  }

  private isOlder(row: Row, than: Row): boolean {
    const version = this.options.version;
    return version !== undefined && version(row) < version(than);
  }

  private trim(touched: Set<Key>): void {
    const { limit, oldest } = this.options;
    if (limit === undefined || oldest === undefined || this.rows.size <= limit) return;
    const surplus = [...this.rows.values()].sort(oldest).slice(0, this.rows.size - limit);
    for (const row of surplus) {
      this.rows.delete(this.key(row));
      touched.add(this.key(row));
    }
  }

  private announce(touched: ReadonlySet<Key>): void {
    this.snapshot = null;
    for (const key of touched) {
      for (const listener of this.rowListeners.get(key) ?? []) listener();
    }
    for (const listener of this.tableListeners) listener();
  }
}

function sameRow<Row extends object>(a: Row, b: Row): boolean {
  return Object.entries(b).every(([column, value]) => {
    const other = a[column as keyof Row] as unknown;
    return other === value || (isObject(value) && JSON.stringify(other) === JSON.stringify(value));
  });
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

/** One value that components can watch: sign-in, freshness, notices. */
export class Cell<Value> {
  private readonly listeners = new Set<Listener>();

  constructor(private value: Value) {}

  get = (): Value => this.value;

  set(value: Value): void {
    if (Object.is(value, this.value)) return;
    this.value = value;
    for (const listener of this.listeners) listener();
  }

  subscribe = (listener: Listener): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
}
