/** Short messages to the person at the page: what was refused and why, what was done. */

import { Cell } from "./store";

export interface Notice {
  id: number;
  kind: "done" | "refused";
  text: string;
}

const MAX_NOTICES = 4;
const DONE_MS = 4000;

export class Notices {
  readonly cell = new Cell<readonly Notice[]>([]);
  private nextId = 1;

  refused(text: string): void {
    this.add("refused", text); // stays until dismissed: it says why something did not happen
  }

  done(text: string): void {
    const id = this.add("done", text);
    setTimeout(() => this.dismiss(id), DONE_MS);
  }

  dismiss(id: number): void {
    this.cell.set(this.cell.get().filter((notice) => notice.id !== id));
  }

  private add(kind: Notice["kind"], text: string): number {
    const id = this.nextId++;
    const others = this.cell.get().filter((notice) => notice.text !== text);
    this.cell.set([...others, { id, kind, text }].slice(-MAX_NOTICES));
    return id;
  }
}
