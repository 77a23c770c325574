import { describe, expect, it, vi } from "vitest";
import { Table } from "./store";

interface Row {
  id: string;
  name?: string;
  at: number;
  tags?: string[];
}

const table = (limit?: number) =>
  new Table<Row>({
    key: (row) => row.id,
    version: (row) => row.at,
    ...(limit === undefined ? {} : { limit, oldest: (a: Row, b: Row) => a.at - b.at }),
  });

const put = (row: Row) => ({ kind: "put", row }) as const;

describe("Table", () => {
  it("tells only the subscribers of the rows that changed, once a batch", () => {
    const rows = table();
    const [a, b, all] = [vi.fn(), vi.fn(), vi.fn()];
    rows.subscribeRow("a", a);
    rows.subscribeRow("b", b);
    rows.subscribe(all);
    rows.apply([put({ id: "a", at: 1 }), put({ id: "a", at: 2 })]);
    expect([a.mock.calls.length, b.mock.calls.length, all.mock.calls.length]).toEqual([1, 0, 1]);
  });

  it("is silent when a row comes again unchanged, also inside objects", () => {
    const rows = table();
    rows.apply([put({ id: "a", at: 1, tags: ["x"] })]);
    const before = rows.all();
    const listener = vi.fn();
    rows.subscribe(listener);
    expect(rows.apply([put({ id: "a", at: 1, tags: ["x"] })]).size).toBe(0);
    expect(listener).not.toHaveBeenCalled();
    expect(rows.all()).toBe(before);
  });

  it("drops what is older than the row only when asked to", () => {
    const rows = table();
    rows.apply([put({ id: "a", name: "new", at: 2 })]);
    rows.apply([put({ id: "a", name: "old", at: 1 })], "newer");
    expect(rows.get("a")?.name).toBe("new");
    rows.apply([put({ id: "a", name: "old", at: 1 })]);
    expect(rows.get("a")?.name).toBe("old");
  });

  it("keeps the columns that an update leaves out", () => {
    const rows = table();
    rows.apply([put({ id: "a", name: "long text", at: 1 })]);
    rows.apply([put({ id: "a", at: 2 })]);
    expect(rows.get("a")).toEqual({ id: "a", name: "long text", at: 2 });
  });

  it("keeps the newest rows within its limit", () => {
    const rows = table(2);
    rows.apply([3, 1, 2].map((at) => put({ id: `r${at}`, at })));
    expect(rows.keys().sort()).toEqual(["r2", "r3"]);
  });

  it("counts the rows that are gone", () => {
    const rows = table();
    rows.apply([put({ id: "a", at: 1 }), put({ id: "b", at: 1 })]);
    expect(rows.keepOnly(new Set(["b"]))).toBe(1);
    expect(rows.keys()).toEqual(["b"]);
  });
});
