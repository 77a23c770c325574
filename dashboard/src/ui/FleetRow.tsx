import { memo } from "react";
import type { Fleet } from "../data/fleet";
import { stackPath } from "../router";
import type { Stack } from "../rows";
import { Controls, useShownState } from "./Controls";
import { useRow } from "./hooks";
import { Age, AgentMarks, AgentName, Link, Now, Simulated, StateBadge } from "./parts";
import { PHASE_WORDS } from "./words";

export const FleetRow = memo(function FleetRow({ id, fleet }: { id: string; fleet: Fleet }) {
  const stack = useRow(fleet.stacks, id);
  return stack ? <Cells stack={stack} fleet={fleet} /> : null;
});

function Cells({ stack, fleet }: { stack: Stack; fleet: Fleet }) {
  const status = useRow(fleet.statuses, stack.id);
  const idea = useRow(fleet.ideas, stack.id);
  const trace = useRow(fleet.traces, stack.id);
  const artifact = useRow(fleet.artifacts, stack.id);
  const { state, pending } = useShownState(stack);
  return (
    <>
      <div role="cell" className="cell cell-stack">
        <Link to={stackPath(stack.id)} className="stack-name">
          {stack.participant_name}
        </Link>
        <span className="idea" title={idea?.description}>
          {idea?.title ?? "No idea yet"}
        </span>
      </div>
      <div role="cell" className="cell cell-state">
        <StateBadge state={state} pending={pending} />
        <span className="phase">{PHASE_WORDS[stack.phase]}</span>
      </div>
      <div role="cell" className="cell cell-marks">
        <AgentMarks activity={status?.activity ?? {}} />
      </div>
      <div role="cell" className="cell cell-now">
        <Now status={status} />
      </div>
      <div role="cell" className="cell cell-trace" data-testid="trace">
        {trace ? (
          <>
            <span className="trace-head">
              <AgentName type={trace.agent_type} /> <Age at={trace.created_at} suffix=" ago" />
              {trace.simulated && <Simulated what="trace" />}
            </span>
            <span className="thought" title={trace.thought}>
              {trace.thought}
            </span>
          </>
        ) : (
          <span className="muted">Nothing yet</span>
        )}
      </div>
      <div role="cell" className="cell cell-artifact">
        {artifact ? <span className="version">v{artifact.version}</span> : <span className="muted">–</span>}
      </div>
      <div role="cell" className="cell cell-controls">
        <Controls stack={stack} table={fleet.stacks} compact />
      </div>
    </>
  );
}
