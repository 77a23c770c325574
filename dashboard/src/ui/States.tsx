/** Empty, loading and error states: each says what to do next. */

import type { ReactNode } from "react";

export function Notice({ title, children, action }: { title: string; children: ReactNode; action?: ReactNode }) {
  return (
    <section className="notice" role="status">
      <h2>{title}</h2>
      <p>{children}</p>
      {action}
    </section>
  );
}

export function LoadFailure({ reason, retry }: { reason: string; retry: () => void }) {
  return (
    <section className="notice notice-bad" role="alert">
      <h2>The data could not be loaded</h2>
      <p>{reason}</p>
      <p className="muted">The page keeps trying by itself.</p>
      <button type="button" className="button button-primary" onClick={retry}>
        Try now
      </button>
    </section>
  );
}

export function BootFailure({ reason }: { reason: string }) {
  return (
    <main className="boot">
      <section className="notice notice-bad" role="alert">
        <h1>Stackbeat cannot start</h1>
        <p>{reason}</p>
        <button type="button" className="button button-primary" onClick={() => location.reload()}>
          Reload
        </button>
      </section>
    </main>
  );
}

export function Skeleton({ rows }: { rows: number }) {
  return (
    <div className="skeleton" role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, index) => (
        <div key={index} className="skeleton-row" />
      ))}
    </div>
  );
}
