import { useState } from "react";
import { Dialog } from "./Dialog";

interface ConfirmProps {
  title: string;
  text: string;
  verb: string;
  dangerous?: boolean;
  act: () => Promise<unknown>;
  close: () => void;
}

export function Confirm({ title, text, verb, dangerous = false, act, close }: ConfirmProps) {
  const [busy, setBusy] = useState(false);
  return (
    <Dialog title={title} close={close}>
      <p>{text}</p>
      <div className="dialog-actions">
        <button type="button" className="button" onClick={close}>
          Cancel
        </button>
        <button
          type="button"
          className={`button ${dangerous ? "button-danger" : "button-primary"}`}
          data-testid="confirm"
          disabled={busy}
          autoFocus
          onClick={() => {
            setBusy(true);
            void act().finally(close);
          }}
        >
          {verb}
        </button>
      </div>
    </Dialog>
  );
}
