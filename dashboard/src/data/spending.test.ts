import { describe, expect, it } from "vitest";
import type { Spent } from "../rows";
import { usd } from "../ui/words";
import { byStack, sumOf } from "./spending";

const spent = (stack_id: string, cost_usd: number, tokens_in = 10): Spent => ({
  stack_id,
  calls: 2,
  failed: 1,
  tokens_in,
  tokens_out: 5,
  cost_usd,
});

describe("spending", () => {
  it("adds up what all stacks spent", () => {
    expect(sumOf([spent("a", 0.25), spent("b", 0.5)])).toEqual({ calls: 4, failed: 2, tokens: 30, usd: 0.75 });
    expect(sumOf([])).toEqual({ calls: 0, failed: 0, tokens: 0, usd: 0 });
  });

  it("puts the dearest first, then the most tokens, and those who are gone into one line", () => {
    const names = new Map([["a", "Owls"], ["b", "Bears"], ["c", "Foxes"]]);
    const rows = [spent("a", 0, 10), spent("b", 0, 99), spent("x", 0.2), spent("y", 0.2), spent("c", 1)];
    const lines = byStack(rows, (id) => names.get(id));
    expect(lines.map((line) => line.name)).toEqual(["Foxes", "Deleted stacks", "Bears", "Owls"]);
    expect(lines[1]).toMatchObject({ id: null, calls: 4, usd: 0.4 });
  });

  it("says small sums of money to the part of a cent that matters", () => {
    expect([0, 0.00004, 0.0123, 0.5, 12.345, 1234.5].map(usd)).toEqual([
      "$0.00",
      "< $0.0001",
      "$0.0123",
      "$0.50",
      "$12.35",
      "$1,234.50",
    ]);
  });
});
