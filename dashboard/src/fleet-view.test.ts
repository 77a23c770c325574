import { describe, expect, it } from "vitest";
import { arrange, filterFrom, totals } from "./fleet-view";
import type { ExecutionState, Idea, Stack, Trace } from "./rows";

const stack = (name: string, state: ExecutionState = "running"): Stack => ({
  id: name,
  participant_name: name,
  phase: "building",
  execution_state: state,
  priority: 5,
  created_at: "2026-01-01T00:00:00Z",
  started_at: null,
  updated_at: "2026-01-01T00:00:00Z",
});

const stacks = [stack("Team 10"), stack("Team 9", "paused"), stack("Owls")];
const ideas = new Map([["Owls", { title: "Focus timer" } as Idea]]);
const traces = new Map([["Team 9", { id: 7 } as Trace]]);
const names = (query: string) =>
  arrange(stacks, ideas, traces, filterFrom(new URLSearchParams(query))).map((row) => row.participant_name);

describe("fleet view", () => {
  it("sorts by name as people count, or by the last trace", () => {
    expect(names("")).toEqual(["Owls", "Team 9", "Team 10"]);
    expect(names("sort=activity")).toEqual(["Team 9", "Owls", "Team 10"]);
  });

  it("filters by state and by every word, in name, idea and phase", () => {
    expect(names("state=paused")).toEqual(["Team 9"]);
    expect(names("q=timer+BUILD")).toEqual(["Owls"]);
    expect(names("q=timer+team")).toEqual([]);
  });

  it("takes nonsense in the address for no filter", () => {
    expect(filterFrom(new URLSearchParams("state=flying&sort=sideways"))).toEqual({ text: "", state: null, sort: "name" });
  });

  it("counts states and agents at work", () => {
    const activity = { builder: { reason: "", since: "" }, reviewer: { reason: "", since: "" } };
    const status = { stack_id: "Owls", wait_reason: null, wait_until: null, activity, updated_at: "" };
    expect(totals(stacks, [status])).toEqual({
      all: 3,
      states: { running: 2, paused: 1, idle: 0, stopped: 0 },
      agentsAtWork: 2,
    });
  });
});
