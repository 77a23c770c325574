import { useEffect, useMemo, useRef, useState } from "react";
import { createFleet, type Fleet, fleetSources } from "../data/fleet";
import { arrange, type FleetFilter, filterFrom, SORTS, type Sort, totals } from "../fleet-view";
import { allowed, type Move } from "../moves";
import { navigate, useRoute, withSearch } from "../router";
import { EXECUTION_STATES, type Stack } from "../rows";
import { useServices } from "../services";
import { whyNot } from "../session";
import { Confirm } from "./Confirm";
import { CreateStack } from "./CreateStack";
import { FleetRow } from "./FleetRow";
import { useCell, useLiveQuery, useMedia, useRows, useTitle, useViewer } from "./hooks";
import { Icon } from "./Icon";
import { Spending } from "./Spending";
import { LoadFailure, Notice, Skeleton } from "./States";
import { VirtualRows } from "./VirtualRows";
import { capital, count, STATE_WORDS } from "./words";

const SORT_WORDS: Record<Sort, string> = { name: "Name", activity: "Last active", newest: "Newest" };

export function FleetPage() {
  useTitle("Fleet");
  const [fleet] = useState(createFleet);
  const query = useLiveQuery("fleet", () => fleetSources(fleet));
  const loading = useCell(query.loading);
  const filter = useFilter();
  const shown = useArranged(fleet, filter);
  return (
    <div className="fleet">
      <FleetHead fleet={fleet} filter={filter} shown={shown} />
      {loading.state === "loading" && <Skeleton rows={12} />}
      {loading.state === "failed" && <LoadFailure reason={loading.reason} retry={query.retry} />}
      {loading.state === "ready" && <FleetTable fleet={fleet} shown={shown} filter={filter} />}
    </div>
  );
}

function useFilter(): FleetFilter {
  const { search } = useRoute();
  return useMemo(() => filterFrom(search), [search]);
}

function useArranged(fleet: Fleet, filter: FleetFilter): Stack[] {
  const stacks = useRows(fleet.stacks);
  const ideas = useRows(fleet.ideas);
  const traces = useRows(fleet.traces);
  // Ideas and activity stand for what the lookups hold. Traces come in all the time, but only one order needs them.
  const activity = filter.sort === "activity" ? traces : null;
  return useMemo(
    () => arrange(stacks, fleet.ideas, fleet.traces, filter),
    [stacks, ideas, activity, filter, fleet],
  );
}

function FleetHead({ fleet, filter, shown }: { fleet: Fleet; filter: FleetFilter; shown: readonly Stack[] }) {
  const stacks = useRows(fleet.stacks);
  const statuses = useRows(fleet.statuses);
  const sums = useMemo(() => totals(stacks, statuses), [stacks, statuses]);
  const set = (values: Record<string, string>) => navigate(withSearch(location.href, values), "replace");
  return (
    <header className="fleet-head">
      <div className="fleet-title">
        <h1>Fleet</h1>
        <p className="muted">
          {count(sums.all, "stack")} · <b>{count(sums.agentsAtWork, "agent")}</b> at work
        </p>
        <NewStack />
      </div>
      <Spending stacks={fleet.stacks} />
      <div className="fleet-tools">
        <div className="chips" role="group" aria-label="Filter by state">
          <Chip label="All" total={sums.all} pressed={filter.state === null} press={() => set({ state: "" })} />
          {EXECUTION_STATES.map((state) => (
            <Chip
              key={state}
              label={STATE_WORDS[state]}
              mark={`state-${state}`}
              total={sums.states[state]}
              pressed={filter.state === state}
              press={() => set({ state: filter.state === state ? "" : state })}
            />
          ))}
        </div>
        <Search text={filter.text} set={(q) => set({ q })} />
        <label className="sort">
          <span className="muted">Sort</span>
          <select aria-label="Sort by" value={filter.sort} onChange={(event) => set({ sort: event.target.value === "name" ? "" : event.target.value })}>
            {SORTS.map((sort) => (
              <option key={sort} value={sort}>
                {SORT_WORDS[sort]}
              </option>
            ))}
          </select>
        </label>
        <Bulk fleet={fleet} shown={shown} />
      </div>
    </header>
  );
}

interface ChipProps {
  label: string;
  mark?: string;
  total: number;
  pressed: boolean;
  press: () => void;
}

function Chip({ label, mark, total, pressed, press }: ChipProps) {
  return (
    <button type="button" className="chip" aria-pressed={pressed} onClick={press}>
      {mark && <span className={`state-mark ${mark}`} aria-hidden="true" />}
      {label} <b>{total.toLocaleString("en")}</b>
    </button>
  );
}

function Search({ text, set }: { text: string; set: (text: string) => void }) {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const slash = (event: KeyboardEvent) => {
      const typing = (event.target as HTMLElement).closest?.("input, textarea, select, dialog");
      if (event.key !== "/" || typing) return;
      event.preventDefault();
      input.current?.focus();
    };
    addEventListener("keydown", slash);
    return () => removeEventListener("keydown", slash);
  }, []);
  return (
    <label className="search">
      <Icon name="search" />
      <input
        ref={input}
        type="search"
        value={text}
        placeholder="Name, idea, phase"
        aria-label="Search stacks (press / to get here)"
        data-testid="search"
        onChange={(event) => set(event.target.value)}
      />
      <kbd aria-hidden="true">/</kbd>
    </label>
  );
}

function NewStack() {
  const viewer = useViewer();
  const [open, setOpen] = useState(false);
  if (viewer.role === "visitor") return null;
  const refused = whyNot(viewer);
  return (
    <>
      <button
        type="button"
        className="button button-primary new-stack"
        data-testid="create-stack"
        disabled={refused !== null}
        title={refused ?? undefined}
        onClick={() => setOpen(true)}
      >
        <Icon name="plus" /> New stack
      </button>
      {open && <CreateStack close={() => setOpen(false)} />}
    </>
  );
}

const BULK: readonly Move[] = ["play", "pause", "resume", "stop"];

/** Moves on everything the filter shows, with the count on the button and once more before it happens. */
function Bulk({ fleet, shown }: { fleet: Fleet; shown: readonly Stack[] }) {
  const { actions, notices } = useServices();
  const viewer = useViewer();
  const [asking, setAsking] = useState<Move | null>(null);
  if (viewer.role === "visitor") return null;
  const refused = whyNot(viewer);
  const movable = (move: Move) => shown.filter((stack) => allowed(move, stack.execution_state));
  return (
    <div className="bulk" role="group" aria-label="Act on all shown stacks">
      {BULK.map((move) => {
        const total = movable(move).length;
        return (
          <button
            key={move}
            type="button"
            className="button"
            data-testid={`bulk-${move}`}
            disabled={refused !== null || total === 0}
            title={refused ?? `${capital(move)} all ${total} shown stacks that can`}
            onClick={() => setAsking(move)}
          >
            <Icon name={move === "resume" ? "play" : move} /> {capital(move)} <b>{total}</b>
          </button>
        );
      })}
      {asking && (
        <Confirm
          title={`${capital(asking)} ${count(movable(asking).length, "stack")}?`}
          text={`${count(shown.length, "stack")} match the filter; ${movable(asking).length} of them can ${asking} now. The others stay as they are.`}
          verb={capital(asking)}
          dangerous={asking === "stop"}
          act={async () => {
            const moved = await actions.move(movable(asking), asking, fleet.stacks);
            if (moved > 0) notices.done(`${count(moved, "stack")}: ${asking}.`);
          }}
          close={() => setAsking(null)}
        />
      )}
    </div>
  );
}

function FleetTable({ fleet, shown, filter }: { fleet: Fleet; shown: readonly Stack[]; filter: FleetFilter }) {
  const narrow = useMedia("(max-width: 860px)");
  const ids = useMemo(() => shown.map((stack) => stack.id), [shown]);
  const viewer = useViewer();
  if (fleet.stacks.size === 0) {
    return (
      <Notice title="No stacks yet">
        {viewer.role === "operator"
          ? "Make the first one with New stack: a name is enough, its planner thinks of an idea."
          : "An operator makes the first one: sign in, or run `stackbeat create NAME --play`. It appears here by itself."}
      </Notice>
    );
  }
  if (ids.length === 0) {
    const clear = () => navigate(withSearch(location.href, { q: "", state: "" }), "replace");
    return (
      <Notice
        title="No stack matches"
        action={
          <button type="button" className="button button-primary" onClick={clear}>
            Show all {fleet.stacks.size}
          </button>
        }
      >
        Nothing {filter.state ? `that is ${filter.state} ` : ""}
        {filter.text ? `fits “${filter.text}”` : "is here"} right now.
      </Notice>
    );
  }
  return (
    <VirtualRows
      ids={ids}
      rowHeight={narrow ? 172 : 60}
      label="Stacks"
      head={<HeadRow />}
      row={(id) => <FleetRow id={id} fleet={fleet} />}
    />
  );
}

function HeadRow() {
  return (
    <div role="rowgroup" className="rows-head">
      <div role="row" aria-rowindex={1} className="row-head">
        {["Stack", "State", "Agents", "Now", "Last trace", "Page", "Controls"].map((name) => (
          <span key={name} role="columnheader" className={`head-${name.toLowerCase().replace(" ", "-")}`}>
            {name}
          </span>
        ))}
      </div>
    </div>
  );
}
