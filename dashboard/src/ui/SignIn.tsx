import { type FormEvent, useState } from "react";
import { reason } from "../actions";
import { useServices } from "../services";
import { Dialog } from "./Dialog";

export function SignIn({ close }: { close: () => void }) {
  const { session } = useServices();
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    setProblem(null);
    try {
      await session.signIn(String(form.get("email")), String(form.get("password")));
      close();
    } catch (error) {
      setProblem(reason(error));
      setBusy(false);
    }
  }

  return (
    <Dialog title="Operator sign-in" close={close}>
      <form className="form" onSubmit={submit}>
        <p className="muted">
          Everybody may watch and chat. The controls need an operator account; <code>stackbeat up</code> prints the
          first one, and <code>stackbeat operator add EMAIL</code> makes more.
        </p>
        <label className="field">
          E-mail
          <input name="email" type="email" autoComplete="username" required autoFocus />
        </label>
        <label className="field">
          Password
          <input name="password" type="password" autoComplete="current-password" required />
        </label>
        {problem && (
          <p className="problem" role="alert">
            {problem}
          </p>
        )}
        <div className="dialog-actions">
          <button type="submit" className="button button-primary" disabled={busy} data-testid="sign-in-submit">
            {busy ? "Signing in…" : "Sign in"}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
