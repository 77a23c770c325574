import { describe, expect, it } from "vitest";
import { parse, stackPath, withSearch } from "./router";

const ID = "00000000-0000-4000-8000-000000000001";

describe("router", () => {
  it("knows the fleet, a stack, and that there is nothing else", () => {
    expect(parse("/").page).toEqual({ name: "fleet" });
    expect(parse(stackPath(ID)).page).toEqual({ name: "stack", id: ID });
    expect(parse("/stacks/nonsense").page).toEqual({ name: "unknown", path: "/stacks/nonsense" });
    expect(parse(`/stacks/${ID}/more`).page.name).toBe("unknown");
  });

  it("keeps other parameters and drops empty ones", () => {
    expect(withSearch("/?q=owl&state=running", { state: "" })).toBe("/?q=owl");
    expect(withSearch("/?q=owl", { sort: "newest", q: "a&b" })).toBe("/?q=a%26b&sort=newest");
  });
});
