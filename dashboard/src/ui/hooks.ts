import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import { LiveQuery, type Source } from "../live";
import type { Viewer } from "../session";
import { useServices } from "../services";
import type { Cell, Key, Table } from "../store";

export const useCell = <Value>(cell: Cell<Value>): Value => useSyncExternalStore(cell.subscribe, cell.get);

/** One row: renders only when that row changes. */
export function useRow<Row extends object>(table: Table<Row>, key: Key): Row | undefined {
  const subscribe = useCallback((listener: () => void) => table.subscribeRow(key, listener), [table, key]);
  return useSyncExternalStore(subscribe, () => table.get(key));
}

/** Every row: renders at most once a frame, for lists and totals. */
export const useRows = <Row extends object>(table: Table<Row>): readonly Row[] =>
  useSyncExternalStore(table.subscribe, table.all);

export const useViewer = (): Viewer => useCell(useServices().session.viewer);

/** Opens a live query for as long as the page is shown. `sources` is called once per `name`. */
export function useLiveQuery(name: string, sources: () => Source[]): LiveQuery {
  const { client, meter } = useServices();
  const [query] = useState(() => new LiveQuery(client, name, sources(), meter));
  useEffect(() => {
    query.open();
    return () => query.close();
  }, [query]);
  return query;
}

export function useMedia(query: string): boolean {
  const subscribe = useCallback(
    (listener: () => void) => {
      const media = matchMedia(query);
      media.addEventListener("change", listener);
      return () => media.removeEventListener("change", listener);
    },
    [query],
  );
  return useSyncExternalStore(subscribe, () => matchMedia(query).matches);
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Stackbeat`;
  }, [title]);
}
