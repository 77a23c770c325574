/** Two pages and a few search parameters over the history API. */

import { useSyncExternalStore } from "react";

export type Page = { name: "fleet" } | { name: "stack"; id: string } | { name: "unknown"; path: string };

export interface Route {
  page: Page;
  search: URLSearchParams;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export function parse(href: string): Route {
  const url = new URL(href, "http://localhost");
  const parts = url.pathname.split("/").filter(Boolean);
  const [first, id] = parts;
  if (parts.length === 0) return { page: { name: "fleet" }, search: url.searchParams };
  if (first === "stacks" && parts.length === 2 && id !== undefined && UUID.test(id)) {
    return { page: { name: "stack", id: id.toLowerCase() }, search: url.searchParams };
  }
  return { page: { name: "unknown", path: url.pathname }, search: url.searchParams };
}

export const stackPath = (id: string): string => `/stacks/${id}`;

/** The address with some parameters set, or removed where the value is empty. */
export function withSearch(href: string, values: Record<string, string>): string {
  const url = new URL(href, "http://localhost");
  for (const [name, value] of Object.entries(values)) {
    if (value === "") url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  return url.pathname + url.search;
}

const MOVED = "stackbeat:moved";

export function navigate(path: string, how: "push" | "replace" = "push"): void {
  if (how === "push") history.pushState(null, "", path);
  else history.replaceState(null, "", path);
  dispatchEvent(new Event(MOVED));
}

function subscribe(listener: () => void): () => void {
  addEventListener("popstate", listener);
  addEventListener(MOVED, listener);
  return () => {
    removeEventListener("popstate", listener);
    removeEventListener(MOVED, listener);
  };
}

let last: { href: string; route: Route } | null = null;

function current(): Route {
  if (last?.href !== location.href) last = { href: location.href, route: parse(location.href) };
  return last.route;
}

export const useRoute = (): Route => useSyncExternalStore(subscribe, current);
