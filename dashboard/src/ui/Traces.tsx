import { useState } from "react";
import type { StackData } from "../data/stack";
import { AGENTS, type AgentType } from "../rows";
import { useRows } from "./hooks";
import { Age, AgentName, Simulated } from "./parts";
import { AGENT_WORDS, actionWords } from "./words";

/** The public stream of thoughts, newest first. */
export function Traces({ data }: { data: StackData }) {
  const all = useRows(data.traces);
  const [agent, setAgent] = useState<AgentType | null>(null);
  const shown = all.filter((trace) => agent === null || trace.agent_type === agent).sort((a, b) => b.id - a.id);
  return (
    <section className="panel panel-traces" aria-labelledby="traces-title">
      <header className="panel-head">
        <h2 id="traces-title">Thoughts</h2>
        <span className="spacer" />
        <div className="marks" role="group" aria-label="Show one agent only">
          {AGENTS.map((type) => (
            <button key={type} type="button" className={`mark mark-button agent-${type}`} aria-pressed={agent === type} aria-label={`Only ${AGENT_WORDS[type].name}`} title={`Only ${AGENT_WORDS[type].name}`} onClick={() => setAgent(agent === type ? null : type)}>
              {AGENT_WORDS[type].letter}
            </button>
          ))}
        </div>
      </header>
      {shown.length === 0 ? (
        <p className="panel-empty muted">
          {all.length === 0 ? "No thoughts yet. They appear here as the agents work: play the stack to start." : "This agent has not run lately."}
        </p>
      ) : (
        <ol className="traces" tabIndex={0} aria-label="Thoughts, newest first">
          {shown.map((trace) => (
            <li key={trace.id} className={`trace agent-edge-${trace.agent_type}`} data-testid="trace">
              <span className="trace-head">
                <AgentName type={trace.agent_type} /> <span className="muted">{actionWords(trace.action)}</span>
                {trace.simulated && <Simulated what="trace" />}
                <span className="spacer" />
                <Age at={trace.created_at} />
              </span>
              <p className="thought">{trace.thought}</p>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}
