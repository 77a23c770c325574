import { type FormEvent, useState } from "react";
import { reason } from "../actions";
import { navigate, stackPath } from "../router";
import { useServices } from "../services";
import { Dialog } from "./Dialog";

export function CreateStack({ close }: { close: () => void }) {
  const { actions, notices } = useServices();
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string) => String(form.get(name) ?? "").trim();
    const stack = { name: text("name"), title: text("title"), description: text("description"), play: form.has("play") };
    if (stack.title === "" && stack.description !== "") {
      setProblem("A description needs a title: give the idea one, or leave both empty.");
      return;
    }
    setBusy(true);
    setProblem(null);
    try {
      const id = await actions.create(stack);
      notices.done(`${stack.name} was created.`);
      close();
      navigate(stackPath(id));
    } catch (error) {
      setProblem(reason(error));
      setBusy(false);
    }
  }

  return (
    <Dialog title="New stack" close={close}>
      <form className="form" onSubmit={submit}>
        <label className="field">
          Name
          <input name="name" required maxLength={80} autoFocus autoComplete="off" />
        </label>
        <label className="field">
          <span>
            Idea <span className="muted">– optional; the planner thinks of one otherwise</span>
          </span>
          <input name="title" maxLength={200} autoComplete="off" />
        </label>
        <label className="field">
          Description of the idea
          <textarea name="description" rows={4} maxLength={4000} />
        </label>
        <label className="check">
          <input name="play" type="checkbox" defaultChecked /> Play at once
        </label>
        {problem && (
          <p className="problem" role="alert">
            {problem}
          </p>
        )}
        <div className="dialog-actions">
          <button type="button" className="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" className="button button-primary" disabled={busy} data-testid="create-submit">
            {busy ? "Creating…" : "Create stack"}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
