/** Small pieces that several pages show. */

import type { ReactNode } from "react";
import { AGENTS, type Activity, type AgentType, type ExecutionState, type StackStatus } from "../rows";
import { age, duration, remaining, useNow } from "../time";
import { navigate } from "../router";
import { Icon } from "./Icon";
import { AGENT_WORDS, agentName, capital, STATE_WORDS } from "./words";

export function StateBadge({ state, pending = false }: { state: ExecutionState; pending?: boolean }) {
  return (
    <span className={`state state-${state}`} data-testid="stack-state" data-state={state} aria-busy={pending}>
      <span className="state-mark" aria-hidden="true" />
      {STATE_WORDS[state]}
    </span>
  );
}

export function Simulated({ what }: { what: string }) {
  return (
    <span className="simulated" title={`This ${what} came from the simulated model: no provider was asked`}>
      simulated
    </span>
  );
}

export function Age({ at, suffix = "" }: { at: string; suffix?: string }) {
  const text = age(at, useNow());
  return (
    <time className="age" dateTime={at} title={new Date(at).toLocaleString()}>
      {text}
      {text === "now" ? "" : suffix}
    </time>
  );
}

export function AgentName({ type }: { type: string }) {
  return <span className={`agent agent-${type}`}>{agentName(type)}</span>;
}

/** Four marks, lit where an agent is at work now. */
export function AgentMarks({ activity }: { activity: StackStatus["activity"] }) {
  const busy = AGENTS.filter((agent) => activity[agent]);
  const label = busy.length === 0 ? "No agent at work" : `At work: ${busy.map(agentName).join(", ")}`;
  return (
    <span className="marks" role="img" aria-label={label} title={label}>
      {AGENTS.map((agent) => (
        <span key={agent} className={`mark agent-${agent}${activity[agent] ? " mark-on" : ""}`} aria-hidden="true">
          {AGENT_WORDS[agent].letter}
        </span>
      ))}
    </span>
  );
}

/** What a stack does now, or else why it waits and how long still. */
export function Now({ status }: { status: StackStatus | undefined }) {
  const busy = status ? (Object.entries(status.activity) as [AgentType, Activity][]) : [];
  if (busy.length > 0) {
    return (
      <ul className="now">
        {busy.map(([agent, { reason, since }]) => (
          <li key={agent} title={reason}>
            <AgentName type={agent} /> <span className="now-reason">{reason}</span> <Since at={since} />
          </li>
        ))}
      </ul>
    );
  }
  if (!status?.wait_reason) return <span className="muted">–</span>;
  return (
    <p className="waiting" title={status.wait_reason}>
      <Icon name="hourglass" />
      <span className="waiting-reason">{capital(status.wait_reason)}</span>
      <Countdown at={status.wait_until} />
    </p>
  );
}

function Since({ at }: { at: string }) {
  return <span className="age">{duration(useNow() - Date.parse(at))}</span>;
}

function Countdown({ at }: { at: string | null }) {
  const left = remaining(at, useNow());
  return left === null ? null : <span className="countdown">{left}</span>;
}

/** A link that stays inside the page. */
export function Link({ to, children, className }: { to: string; children: ReactNode; className?: string }) {
  return (
    <a
      href={to}
      className={className}
      onClick={(event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
        event.preventDefault();
        navigate(to);
      }}
    >
      {children}
    </a>
  );
}
