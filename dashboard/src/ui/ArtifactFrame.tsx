import { useLayoutEffect, useRef } from "react";

/**
 * A page written by an agent, run where it can reach nothing: a sandboxed frame of an opaque origin whose own document
 * (/frame.html) forbids every network access. The HTML goes in by postMessage; nothing that comes out is believed
 * except the one greeting that says the frame is there.
 */
export function ArtifactFrame({ html, title }: { html: string; title: string }) {
  const frame = useRef<HTMLIFrameElement>(null);
  useLayoutEffect(() => {
    let sent = false;
    const greet = (event: MessageEvent<unknown>) => {
      const inner = frame.current?.contentWindow;
      if (sent || !inner || event.source !== inner || !isGreeting(event.data)) return;
      sent = true;
      inner.postMessage({ html }, "*"); // an opaque origin has no name to address
    };
    addEventListener("message", greet);
    return () => removeEventListener("message", greet);
  }, [html]);
  return (
    <iframe
      ref={frame}
      className="frame"
      data-testid="artifact-frame"
      title={title}
      src="/frame.html"
      sandbox="allow-scripts"
      referrerPolicy="no-referrer"
      allow=""
    />
  );
}

const isGreeting = (data: unknown): boolean =>
  typeof data === "object" && data !== null && (data as { stackbeatFrame?: unknown }).stackbeatFrame === "ready";
