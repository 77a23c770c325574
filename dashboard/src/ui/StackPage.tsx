import { useState } from "react";
import { createStackData, type StackData, stackSources } from "../data/stack";
import { navigate } from "../router";
import { AGENTS, PHASES, type Phase, type Stack, type Trace } from "../rows";
import { useServices } from "../services";
import { whyNot } from "../session";
import { duration, useNow } from "../time";
import { Artifacts } from "./Artifacts";
import { Chat } from "./Chat";
import { Confirm } from "./Confirm";
import { Controls, useShownState } from "./Controls";
import { useCell, useLiveQuery, useRow, useRows, useTitle, useViewer } from "./hooks";
import { Icon } from "./Icon";
import { Age, Link, Now, StateBadge } from "./parts";
import { LoadFailure, Notice, Skeleton } from "./States";
import { Todos } from "./Todos";
import { Traces } from "./Traces";
import { AGENT_WORDS, PHASE_WORDS } from "./words";

export function StackPage({ id }: { id: string }) {
  const [data] = useState(createStackData);
  const query = useLiveQuery(`stack:${id}`, () => stackSources(data, id));
  const loading = useCell(query.loading);
  const stack = useRow(data.stack, id);
  useTitle(stack?.participant_name ?? "Stack");
  if (loading.state === "loading") return <Skeleton rows={8} />;
  if (loading.state === "failed") return <LoadFailure reason={loading.reason} retry={query.retry} />;
  if (!stack) {
    return (
      <Notice title="This stack does not exist" action={<Link to="/" className="button button-primary">Go to the fleet</Link>}>
        It was deleted, or the address is wrong: {id}
      </Notice>
    );
  }
  return (
    <div className="stack">
      <StackHead stack={stack} data={data} />
      <div className="stack-body">
        <div className="stack-side">
          <Idea data={data} id={id} />
          <Agents data={data} id={id} />
          <Todos data={data} stackId={id} />
        </div>
        <Artifacts data={data} name={stack.participant_name} />
        <div className="stack-side">
          <Traces data={data} />
          <Chat data={data} stackId={id} name={stack.participant_name} />
        </div>
      </div>
    </div>
  );
}

function StackHead({ stack, data }: { stack: Stack; data: StackData }) {
  const status = useRow(data.status, stack.id);
  const { state, pending } = useShownState(stack);
  // What runs is said beside each agent below; up here stands why nothing does.
  const waiting = status?.wait_reason && Object.keys(status.activity).length === 0;
  return (
    <header className="stack-head">
      <Link to="/" className="button button-icon back">
        <Icon name="back" />
        <span className="visually-hidden">Back to the fleet</span>
      </Link>
      <h1>{stack.participant_name}</h1>
      <StateBadge state={state} pending={pending} />
      <div className="stack-now">{waiting && !pending && <Now status={status} />}</div>
      <PhaseSteps phase={stack.phase} />
      <Controls stack={stack} table={data.stack} compact={false} />
      <Delete stack={stack} />
    </header>
  );
}

function PhaseSteps({ phase }: { phase: Phase }) {
  const at = PHASES.indexOf(phase);
  return (
    <ol className="phases" aria-label={`Phase: ${PHASE_WORDS[phase]}`}>
      {PHASES.map((step, index) => (
        <li key={step} className={index < at ? "phase-past" : index === at ? "phase-now" : ""} aria-current={index === at ? "step" : undefined}>
          {PHASE_WORDS[step]}
        </li>
      ))}
    </ol>
  );
}

function Delete({ stack }: { stack: Stack }) {
  const { actions } = useServices();
  const viewer = useViewer();
  const [asking, setAsking] = useState(false);
  if (viewer.role === "visitor") return null;
  const refused = whyNot(viewer);
  return (
    <>
      <button type="button" className="button button-icon" aria-label={`Delete ${stack.participant_name}`} title={refused ?? "Delete this stack"} data-testid="control-delete" disabled={refused !== null} onClick={() => setAsking(true)}>
        <Icon name="trash" />
      </button>
      {asking && (
        <Confirm
          title={`Delete ${stack.participant_name}?`}
          text="Its idea, todos, pages, thoughts and chat are deleted with it. This cannot be undone."
          verb="Delete"
          dangerous
          act={async () => {
            if (await actions.delete(stack)) navigate("/");
          }}
          close={() => setAsking(false)}
        />
      )}
    </>
  );
}

function Idea({ data, id }: { data: StackData; id: string }) {
  const idea = useRow(data.idea, id);
  return (
    <section className="panel panel-idea" aria-labelledby="idea-title">
      <header className="panel-head">
        <h2 id="idea-title">Idea</h2>
      </header>
      {idea ? (
        <div className="idea-text">
          <h3>{idea.title}</h3>
          <p>{idea.description}</p>
        </div>
      ) : (
        <p className="panel-empty muted">No idea yet. The planner thinks of one in its first run.</p>
      )}
    </section>
  );
}

function Agents({ data, id }: { data: StackData; id: string }) {
  const status = useRow(data.status, id);
  const traces = useRows(data.traces);
  return (
    <section className="panel" aria-labelledby="agents-title">
      <header className="panel-head">
        <h2 id="agents-title">Agents</h2>
      </header>
      <ul className="agents">
        {AGENTS.map((agent) => {
          const activity = status?.activity[agent];
          return (
            <li key={agent} className={activity ? "agent-busy" : ""}>
              <span className={`mark agent-${agent}${activity ? " mark-on" : ""}`} aria-hidden="true">
                {AGENT_WORDS[agent].letter}
              </span>
              <span className="agents-name" title={AGENT_WORDS[agent].job}>
                {AGENT_WORDS[agent].name}
              </span>
              {activity ? (
                <span className="agents-now" title={activity.reason}>
                  {activity.reason} <Elapsed since={activity.since} />
                </span>
              ) : (
                <LastRun trace={newestOf(traces, agent)} />
              )}
            </li>
          );
        })}
      </ul>
    </section>
  );
}

function newestOf(traces: readonly Trace[], agent: string): Trace | undefined {
  let newest: Trace | undefined;
  for (const trace of traces) if (trace.agent_type === agent && trace.id > (newest?.id ?? 0)) newest = trace;
  return newest;
}

function LastRun({ trace }: { trace: Trace | undefined }) {
  if (!trace) return <span className="muted agents-now">has not run yet</span>;
  return (
    <span className="muted agents-now">
      last ran <Age at={trace.created_at} suffix=" ago" />
    </span>
  );
}

function Elapsed({ since }: { since: string }) {
  return <span className="age">{duration(useNow() - Date.parse(since))}</span>;
}
