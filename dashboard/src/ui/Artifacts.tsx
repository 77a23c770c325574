import { useEffect, useState } from "react";
import { reason } from "../actions";
import { fetchArtifactBody, type StackData } from "../data/stack";
import type { Artifact } from "../rows";
import { useServices } from "../services";
import { ArtifactFrame } from "./ArtifactFrame";
import { useRows } from "./hooks";
import { Icon } from "./Icon";
import { Age, Simulated } from "./parts";
import { bytes } from "./words";

/** The newest page running, and every version before it. Follows the newest until somebody picks one. */
export function Artifacts({ data, name }: { data: StackData; name: string }) {
  const versions = [...useRows(data.artifacts)].sort((a, b) => b.version - a.version);
  const [picked, setPicked] = useState<string | null>(null);
  const [large, setLarge] = useState(false);
  const shown = versions.find((artifact) => artifact.id === picked) ?? versions[0];
  if (!shown) {
    return (
      <section className="panel panel-artifact" aria-labelledby="artifact-title">
        <PanelHead title="Page" />
        <div className="frame-empty">
          <p>No page yet.</p>
          <p className="muted">The builder publishes the first version when its first todo is done; it then runs here.</p>
        </div>
      </section>
    );
  }
  return (
    <section className={`panel panel-artifact${large ? " panel-large" : ""}`} aria-labelledby="artifact-title">
      <header className="panel-head">
        <h2 id="artifact-title">Page</h2>
        <span className="version" data-testid="artifact-version">
          v{shown.version}
        </span>
        <span className="muted artifact-facts">
          <Age at={shown.created_at} suffix=" ago" /> · {bytes(shown.size_bytes ?? 0)}
        </span>
        {shown.simulated && <Simulated what="page" />}
        <span className="spacer" />
        {versions.length > 1 && (
          <label className="sort">
            <span className="visually-hidden">Version</span>
            <select value={picked ?? ""} onChange={(event) => setPicked(event.target.value || null)}>
              <option value="">Newest (v{versions[0]?.version})</option>
              {versions.slice(1).map((artifact) => (
                <option key={artifact.id} value={artifact.id}>
                  Version {artifact.version}
                </option>
              ))}
            </select>
          </label>
        )}
        <button type="button" className="button button-icon" aria-pressed={large} aria-label={large ? "Make the page small" : "Make the page large"} onClick={() => setLarge(!large)}>
          <Icon name={large ? "close" : "expand"} />
        </button>
      </header>
      <Body key={shown.id} artifact={shown} name={name} />
      {shown.metadata?.description && <p className="artifact-note">{shown.metadata.description}</p>}
    </section>
  );
}

function PanelHead({ title }: { title: string }) {
  return (
    <header className="panel-head">
      <h2 id="artifact-title">{title}</h2>
    </header>
  );
}

type BodyState = { state: "loading" } | { state: "ready"; html: string } | { state: "failed"; reason: string };

function Body({ artifact, name }: { artifact: Artifact; name: string }) {
  const { client } = useServices();
  const [body, setBody] = useState<BodyState>({ state: "loading" });
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    let current = true;
    fetchArtifactBody(client, artifact.id)
      .then((html): BodyState => (html === null ? { state: "failed", reason: "This version has no stored page." } : { state: "ready", html }))
      .catch((error: unknown): BodyState => ({ state: "failed", reason: reason(error) }))
      .then((next) => current && setBody(next));
    return () => {
      current = false;
    };
  }, [client, artifact.id, attempt]);
  switch (body.state) {
    case "loading":
      return <div className="frame frame-loading" role="status" aria-label="Loading the page" />;
    case "failed":
      return (
        <div className="frame-empty" role="alert">
          <p>{body.reason}</p>
          <button type="button" className="button" onClick={() => setAttempt(attempt + 1)}>
            Try again
          </button>
        </div>
      );
    case "ready":
      return <ArtifactFrame html={body.html} title={`Page of ${name}, version ${artifact.version}`} />;
  }
}
