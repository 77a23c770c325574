import { type FormEvent, type KeyboardEvent, useLayoutEffect, useRef, useState } from "react";
import { reason } from "../actions";
import type { StackData } from "../data/stack";
import type { ChatLine } from "../rows";
import { useServices } from "../services";
import { whyNot } from "../session";
import { useRow, useRows, useViewer } from "./hooks";
import { Icon } from "./Icon";
import { Age, Simulated } from "./parts";

const MAX_CONTENT = 2000;
const MAX_NAME = 40;
const NAME_KEY = "stackbeat-visitor-name";

/** Visitors write, the communicator answers: every line shows whether it still waits, was answered or failed. */
export function Chat({ data, stackId, name }: { data: StackData; stackId: string; name: string }) {
  const lines = [...useRows(data.chat)].sort((a, b) => a.created_at.localeCompare(b.created_at));
  const [sending, setSending] = useState<{ sender: string; content: string } | null>(null);
  const list = useRef<HTMLOListElement>(null);
  const follow = useRef(true);
  const last = lines.at(-1);

  useLayoutEffect(() => {
    const element = list.current;
    if (element && follow.current) element.scrollTop = element.scrollHeight;
  }, [lines.length, last?.status, sending]);

  return (
    <section className="panel panel-chat" aria-labelledby="chat-title">
      <header className="panel-head">
        <h2 id="chat-title">Chat</h2>
        <span className="muted">with the communicator of {name}</span>
      </header>
      <ol
        ref={list}
        className="chat"
        aria-label="Messages"
        tabIndex={0}
        onScroll={({ currentTarget: box }) => {
          follow.current = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
        }}
      >
        {lines.length === 0 && !sending && (
          <li className="chat-empty muted">Nobody has written yet. Ask {name} what it builds, or wish for a change.</li>
        )}
        {lines.map((line) => (
          <Line key={line.id} line={line} data={data} />
        ))}
        {sending && (
          <li className="chat-line chat-sending" aria-busy="true">
            <p className="bubble bubble-visitor">{sending.content}</p>
            <span className="chat-state">Sending…</span>
          </li>
        )}
      </ol>
      <Composer data={data} stackId={stackId} setSending={setSending} />
    </section>
  );
}

const STATES: Record<ChatLine["status"], string> = {
  waiting: "Waiting for an answer",
  claimed: "Being answered",
  answered: "Answered",
  failed: "No answer: every attempt failed",
};

function Line({ line, data }: { line: ChatLine; data: StackData }) {
  const { actions } = useServices();
  const viewer = useViewer();
  const answer = useRow(data.messages, line.response_id ?? "");
  return (
    <li className="chat-line" data-testid="chat-message" data-status={line.status}>
      <span className="chat-who">
        <b>{line.sender_name}</b> <Age at={line.created_at} suffix=" ago" />
      </span>
      <p className="bubble bubble-visitor">{line.content}</p>
      {line.status === "answered" ? (
        <>
          <span className="chat-who chat-who-agent">
            <span className="agent agent-communicator">Communicator</span>
            {line.answered_at && <Age at={line.answered_at} suffix=" ago" />}
            {answer?.simulated && <Simulated what="answer" />}
          </span>
          <p className="bubble bubble-agent" data-testid="chat-answer">
            {answer?.content ?? "The answer is no longer kept."}
          </p>
        </>
      ) : (
        <span className={`chat-state chat-state-${line.status}`}>
          {STATES[line.status]}
          {line.status === "failed" && viewer.role !== "visitor" && (
            <button type="button" className="button button-small" disabled={whyNot(viewer) !== null} title={line.last_error ?? undefined} onClick={() => void actions.retry("user_messages", line.id)}>
              <Icon name="retry" /> Try again
            </button>
          )}
        </span>
      )}
    </li>
  );
}

interface ComposerProps {
  data: StackData;
  stackId: string;
  setSending: (line: { sender: string; content: string } | null) => void;
}

function Composer({ data, stackId, setSending }: ComposerProps) {
  const { actions } = useServices();
  const [sender, setSender] = useState(() => localStorage.getItem(NAME_KEY) ?? "");
  const [content, setContent] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const length = [...content.trim()].length;
  const tooLong = length > MAX_CONTENT ? `The message has ${length.toLocaleString("en")} characters; at most 2,000 fit. Shorten it by ${(length - MAX_CONTENT).toLocaleString("en")}.` : null;

  async function send(event?: FormEvent) {
    event?.preventDefault();
    const text = content.trim();
    if (text === "" || tooLong || busy) return;
    const name = sender.trim() || "Visitor";
    localStorage.setItem(NAME_KEY, sender.trim());
    setBusy(true);
    setProblem(null);
    setContent("");
    setSending({ sender: name, content: text });
    try {
      const line = await actions.say(stackId, name, text);
      data.chat.apply([{ kind: "put", row: line }], "newer");
    } catch (error) {
      setProblem(reason(error));
      setContent((typed) => typed || text); // nothing typed is lost
    } finally {
      setSending(null);
      setBusy(false);
    }
  }

  function keys(event: KeyboardEvent) {
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    void send();
  }

  return (
    <form className="composer" onSubmit={send}>
      {(tooLong ?? problem) && (
        <p className="problem" role="alert" data-testid="chat-problem">
          {tooLong ?? problem}
        </p>
      )}
      <input className="composer-name" value={sender} maxLength={MAX_NAME} placeholder="Your name" aria-label="Your name" autoComplete="nickname" data-testid="chat-name" onChange={(event) => setSender(event.target.value)} />
      <div className="composer-line">
        <textarea value={content} rows={2} placeholder="Write a message…" aria-label="Message" data-testid="chat-input" onKeyDown={keys} onChange={(event) => setContent(event.target.value)} />
        <button type="submit" className="button button-primary button-icon" aria-label="Send" data-testid="chat-send" disabled={busy || length === 0 || tooLong !== null}>
          <Icon name="send" />
        </button>
      </div>
    </form>
  );
}
