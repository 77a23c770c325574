import { describe, expect, it } from "vitest";
import { ConfigError, parseConfig } from "./config";
import { percentiles } from "./freshness";
import { newest, toChange } from "./live";
import { allowed, type Move } from "./moves";
import { refusal } from "./refusal";
import { EXECUTION_STATES } from "./rows";
import { viewerOf, whyNot } from "./session";

describe("config", () => {
  it("refuses what is no URL and what is secret", () => {
    expect(() => parseConfig({ supabaseUrl: "nowhere", publishableKey: "k" })).toThrow(ConfigError);
    expect(() => parseConfig({ supabaseUrl: "http://h", publishableKey: "sb_secret_x" })).toThrow(/never reach/);
    expect(parseConfig({ supabaseUrl: "http://h", publishableKey: "k", more: 1 })).toEqual({
      supabaseUrl: "http://h",
      publishableKey: "k",
    });
  });
});

describe("moves", () => {
  it("are those of the state machine", () => {
    const from = (move: Move) => EXECUTION_STATES.filter((state) => allowed(move, state));
    expect(from("play")).toEqual(["idle", "stopped"]);
    expect(from("pause")).toEqual(["running"]);
    expect(from("resume")).toEqual(["paused"]);
    expect(from("stop")).toEqual(["running", "paused"]);
  });
});

describe("viewer", () => {
  const user = (metadata: object) => viewerOf({ user: { email: "o@x", app_metadata: metadata } } as never);
  it("takes the role from app_metadata only", () => {
    expect(viewerOf(null)).toEqual({ role: "visitor" });
    expect(user({})).toEqual({ role: "member", email: "o@x" });
    expect(whyNot(user({ role: "operator" }))).toBeNull();
    expect(whyNot(user({ role: "operator", read_only: true }))).toMatch(/only look/);
  });
});

describe("refusals", () => {
  it("say what to do", () => {
    expect(refusal({ code: "PT429", message: "too many messages: try again in a few seconds" }).message).toBe(
      "Too many messages: try again in a few seconds.",
    );
    expect(refusal({ message: "TypeError: Failed to fetch" }).message).toMatch(/cannot be reached/);
    expect(refusal({ code: "22023", message: "a running stack cannot be set to idle" }).message).toBe(
      "A running stack cannot be set to idle.",
    );
  });
});

describe("changes", () => {
  const source = { dropKey: (old: { id?: string }) => old.id ?? null };
  const payload = (eventType: string, more: object) => ({ eventType, new: {}, old: {}, errors: null, ...more }) as never;
  it("become puts and drops; unreadable and unkeyed ones are left to the next sync", () => {
    expect(toChange(source, payload("UPDATE", { new: { id: "a" } }))).toEqual({ kind: "put", row: { id: "a" } });
    expect(toChange(source, payload("DELETE", { old: { id: "a" } }))).toEqual({ kind: "drop", key: "a" });
    expect(toChange(source, payload("DELETE", {}))).toBeNull();
    expect(toChange(source, payload("INSERT", { errors: ["Error 413: Payload Too Large"] }))).toBeNull();
  });

  it("are asked for from the newest row on, less an overlap", () => {
    expect(newest([])).toBeNull();
    expect(newest([{ updated_at: "2026-01-01T00:00:20Z" }, { created_at: "2026-01-01T00:00:10+00:00" }])).toBe(
      "2026-01-01T00:00:05.000Z",
    );
  });
});

describe("percentiles", () => {
  it("of nothing are nothing", () => {
    expect(percentiles([])).toBeNull();
    expect(percentiles(Array.from({ length: 100 }, (_, n) => n))).toEqual({ p50: 50, p95: 95 });
  });
});
