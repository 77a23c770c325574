/**
 * What people do: plain INSERT, UPDATE and DELETE under row level security, optimistic, undone with the server's reason.
 *
 * A wish (the state somebody asked for) lies over the row until the server has answered; the row itself is never
 * touched by a guess, so taking the wish away is the whole roll-back.
 */

import type { SupabaseClient } from "@supabase/supabase-js";
import type { Database } from "./database.types";
import { allowed, type Move, target } from "./moves";
import type { Notices } from "./notices";
import { Refusal, rowsOf } from "./refusal";
import type { ChatLine, ExecutionState, Stack } from "./rows";
import { type Key, Table } from "./store";

export interface Wish {
  id: string;
  state: ExecutionState;
}

export interface NewStack {
  name: string;
  title: string;
  description: string;
  play: boolean;
}

const BULK = 100; // ids per request: keeps the address well under common limits
const STACK_REPLY = "id,execution_state,updated_at";
const NOT_ALLOWED = "The server changed nothing: this sign-in may not act on stacks.";

export class Actions {
  /** The state asked for, by stack, while the server has not answered yet. */
  readonly wishes = new Table<Wish>({ key: (wish) => wish.id });

  constructor(
    private readonly client: SupabaseClient<Database>,
    private readonly notices: Notices,
  ) {}

  /** Moves stacks; `into` receives what the server answered. Returns how many rows changed hands. */
  async move(stacks: readonly Stack[], move: Move, into: Table<Stack>): Promise<number> {
    const ids = stacks.filter((stack) => allowed(move, stack.execution_state)).map((stack) => stack.id);
    let moved = 0;
    this.wishes.apply(ids.map((id) => ({ kind: "put", row: { id, state: target(move) } })));
    try {
      for (let at = 0; at < ids.length; at += BULK) {
        const rows = await this.moveSome(ids.slice(at, at + BULK), target(move));
        into.apply(rows.map((row) => ({ kind: "put", row })), "newer");
        this.forget(rows.map((row) => row.id as string));
        moved += rows.length;
      }
    } catch (error) {
      const name = stacks.length === 1 ? stacks[0]?.participant_name : `${ids.length - moved} stacks`;
      this.notices.refused(`Could not ${move} ${name}. ${reason(error)}`);
    } finally {
      this.forget(ids);
    }
    return moved;
  }

  async create(stack: NewStack): Promise<string> {
    const id = crypto.randomUUID();
    await rowsOf(this.client.from("agent_stacks").insert({ id, participant_name: stack.name }).select("id"));
    if (stack.title !== "") {
      const idea = { stack_id: id, title: stack.title, description: stack.description };
      await rowsOf(this.client.from("project_ideas").insert(idea).select("id"));
    }
    if (stack.play) {
      const play = this.client.from("agent_stacks").update({ execution_state: "running" });
      await rowsOf(play.eq("id", id).select("id"));
    }
    return id;
  }

  async delete(stack: Stack): Promise<boolean> {
    try {
      const rows = await rowsOf(this.client.from("agent_stacks").delete().eq("id", stack.id).select("id"));
      if (rows.length === 0) throw new Refusal(NOT_ALLOWED, "");
      this.notices.done(`${stack.participant_name} was deleted.`);
      return true;
    } catch (error) {
      this.notices.refused(`Could not delete ${stack.participant_name}. ${reason(error)}`);
      return false;
    }
  }

  async say(stackId: string, sender: string, content: string): Promise<ChatLine> {
    const line = { stack_id: stackId, sender_name: sender, content };
    const [row] = await rowsOf<ChatLine>(this.client.from("user_messages").insert(line).select());
    if (!row) throw new Refusal(NOT_ALLOWED, "");
    return row;
  }

  async addTodo(stackId: string, content: string): Promise<void> {
    await rowsOf(this.client.from("todos").insert({ stack_id: stackId, content }).select("id"));
  }

  /** Gives a failed todo or chat line another chance. */
  async retry(table: "todos" | "user_messages", id: string): Promise<void> {
    try {
      const status = table === "todos" ? "pending" : "waiting";
      const rows = await rowsOf(this.client.from(table).update({ status }).eq("id", id).select("id"));
      if (rows.length === 0) throw new Refusal(NOT_ALLOWED, "");
    } catch (error) {
      this.notices.refused(`Could not try again. ${reason(error)}`);
    }
  }

  private async moveSome(ids: readonly string[], state: ExecutionState): Promise<Partial<Stack>[]> {
    const update = this.client.from("agent_stacks").update({ execution_state: state });
    const rows = await rowsOf<Partial<Stack>>(update.in("id", ids).select(STACK_REPLY));
    if (rows.length === 0) throw new Refusal(NOT_ALLOWED, "");
    return rows;
  }

  private forget(ids: readonly Key[]): void {
    this.wishes.apply(ids.map((key) => ({ kind: "drop", key })));
  }
}

export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
