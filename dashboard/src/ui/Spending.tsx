import { useEffect, useMemo, useState } from "react";
import { byStack, SpendingToday, type SpentBy, sumOf, type Today } from "../data/spending";
import type { Stack } from "../rows";
import { useServices } from "../services";
import type { Table } from "../store";
import { useCell, useRows, useViewer } from "./hooks";
import { Link } from "./parts";
import { compact, count, usd } from "./words";

const MOST_LINES = 50;

/** What was spent since midnight UTC, in one line, and by stack where it is opened. For operators, as the ledger is. */
export function Spending({ stacks }: { stacks: Table<Stack> }) {
  return useViewer().role === "operator" ? <SpendingLine stacks={stacks} /> : null;
}

function SpendingLine({ stacks }: { stacks: Table<Stack> }) {
  const { client } = useServices();
  const [spending] = useState(() => new SpendingToday(client));
  useEffect(() => {
    spending.open();
    return () => spending.close();
  }, [spending]);
  const today = useCell(spending.cell);
  return (
    <details className="spending" data-testid="spending">
      <summary title="Since midnight UTC, from the ledger">
        <span className="muted">Today</span> <InOneLine today={today} />
      </summary>
      {today.state === "ready" && <ByStack today={today} stacks={stacks} />}
    </details>
  );
}

function InOneLine({ today }: { today: Today }) {
  if (today.state === "loading") return <span className="muted">…</span>;
  if (today.state === "failed") return <span role="alert">The ledger cannot be read: {today.reason}</span>;
  const sum = sumOf(today.rows);
  return (
    <>
      <b data-testid="spent-calls">{count(sum.calls, "call")}</b>
      {sum.failed > 0 && <span className="muted">, {sum.failed.toLocaleString("en")} of them failed</span>} ·{" "}
      <b data-testid="spent-tokens">{compact(sum.tokens)} tokens</b> · <b data-testid="spent-usd">{usd(sum.usd)}</b>
    </>
  );
}

function ByStack({ today, stacks }: { today: Extract<Today, { state: "ready" }>; stacks: Table<Stack> }) {
  const known = useRows(stacks);
  const lines = useMemo(
    () => byStack(today.rows, (id) => stacks.get(id)?.participant_name),
    [today, stacks, known],
  );
  if (lines.length === 0) return <p className="muted">No model was asked today.</p>;
  const rest = lines.slice(MOST_LINES);
  return (
    <div className="spending-table" role="region" aria-label="Spent today, by stack" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">Stack</th>
            <th scope="col">Calls</th>
            <th scope="col">Failed</th>
            <th scope="col">Tokens</th>
            <th scope="col">USD</th>
          </tr>
        </thead>
        <tbody>
          {lines.slice(0, MOST_LINES).map((line) => (
            <Line key={line.id ?? "gone"} line={line} />
          ))}
        </tbody>
      </table>
      {rest.length > 0 && <p className="muted">and {count(rest.length, "more stack")} that spent less</p>}
    </div>
  );
}

function Line({ line }: { line: SpentBy }) {
  return (
    <tr data-testid="spent-row">
      <th scope="row">{line.id === null ? line.name : <Link to={`/stacks/${line.id}`}>{line.name}</Link>}</th>
      <td>{line.calls.toLocaleString("en")}</td>
      <td>{line.failed.toLocaleString("en")}</td>
      <td>{line.tokens.toLocaleString("en")}</td>
      <td>{usd(line.usd)}</td>
    </tr>
  );
}
