/** Who looks: a visitor, or an operator signed in with e-mail and password. The database decides; this only mirrors it. */

import type { Session, SupabaseClient } from "@supabase/supabase-js";
import { Refusal } from "./refusal";
import { Cell } from "./store";

export type Viewer =
  | { role: "visitor" }
  | { role: "member"; email: string } // signed in, but no operator
  | { role: "operator"; email: string; readOnly: boolean };

export function viewerOf(session: Pick<Session, "user"> | null): Viewer {
  if (!session) return { role: "visitor" };
  const { app_metadata: metadata, email = "" } = session.user;
  if (metadata.role !== "operator") return { role: "member", email };
  return { role: "operator", email, readOnly: metadata.read_only === true };
}

/** Why this viewer may not press a control, or null if they may. */
export function whyNot(viewer: Viewer): string | null {
  switch (viewer.role) {
    case "visitor":
      return "Sign in as an operator to use the controls";
    case "member":
      return "This account is no operator";
    case "operator":
      return viewer.readOnly ? "This operator account may only look" : null;
  }
}

export class SessionStore {
  readonly viewer = new Cell<Viewer>({ role: "visitor" });

  constructor(private readonly client: SupabaseClient) {
    client.auth.onAuthStateChange((_event, session) => {
      const viewer = viewerOf(session);
      if (JSON.stringify(viewer) !== JSON.stringify(this.viewer.get())) this.viewer.set(viewer);
    });
  }

  async signIn(email: string, password: string): Promise<void> {
    const { error } = await this.client.auth.signInWithPassword({ email, password });
    if (!error) return;
    throw new Refusal(
      error.code === "invalid_credentials"
        ? "No account has this e-mail and password."
        : error.status === undefined || error.status === 0
          ? "The server cannot be reached; check that it runs, then try again."
          : error.message,
      error.code ?? "",
    );
  }

  async signOut(): Promise<void> {
    await this.client.auth.signOut({ scope: "local" });
  }
}
