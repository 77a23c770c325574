import type { Connection } from "../freshness";
import { useServices } from "../services";
import { duration, useNow } from "../time";
import { useCell } from "./hooks";
import { count } from "./words";

const WORDS: Record<Connection, string> = {
  connecting: "Connecting",
  live: "Live",
  reconnecting: "Reconnecting",
  offline: "Offline",
};

/** How much the page can be believed: the socket, the lag from commit to paint, and what a break made it miss. */
export function FreshnessBar() {
  const { connection, since, lag, changes, recovered, reconnects, problem } = useCell(useServices().meter.cell);
  const now = useNow();
  const broken = connection === "reconnecting" || connection === "offline";
  return (
    <footer className={`freshness freshness-${connection}`} data-testid="freshness" data-connection={connection}>
      <span className="freshness-state" role="status">
        <span className="freshness-dot" aria-hidden="true" />
        <strong>{WORDS[connection]}</strong>
        {broken && <span>– asking every 5 s instead{problem ? `: ${problem}` : ""}</span>}
      </span>
      <span className="freshness-since">for {duration(now - since)}</span>
      <span className="freshness-figure" title="From the commit in the database to the paint in this tab; median and 95th percentile of the last 256 changes">
        commit → paint <b>{lag ? `${Math.round(lag.p50)} ms` : "–"}</b>
        <span className="muted"> p95 </span>
        <b>{lag ? `${Math.round(lag.p95)} ms` : "–"}</b>
      </span>
      <span className="freshness-figure" title="Row changes painted since this page was opened">
        <b>{changes.toLocaleString("en")}</b> changes
      </span>
      <span className="freshness-figure" data-testid="recovered" title="Rows fetched because a broken connection had missed them">
        <b>{recovered.toLocaleString("en")}</b> recovered{reconnects > 0 && ` in ${count(reconnects, "reconnect")}`}
      </span>
    </footer>
  );
}
