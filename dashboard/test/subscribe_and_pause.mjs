// Subscribes to one stack with supabase-js, pauses it, and prints what the server answered and what was heard.
import { createClient } from "@supabase/supabase-js";
import ws from "ws";

const { API_URL, KEY, STACK_ID } = process.env;
const HEARD_WITHIN_MS = 15_000;

// Node 20 has no websocket of its own.
const client = createClient(API_URL, KEY, { auth: { persistSession: false }, realtime: { transport: ws } });
const filter = `id=eq.${STACK_ID}`;

const heard = new Promise((resolve, reject) => {
  setTimeout(() => reject(new Error("the pause was not heard")), HEARD_WITHIN_MS).unref();
  client
    .channel("pause")
    .on("postgres_changes", { event: "UPDATE", schema: "public", table: "agent_stacks", filter }, ({ new: row }) => {
      if (row.execution_state === "paused") resolve(row.execution_state);
    })
    .subscribe(async (status, error) => {
      if (status === "CHANNEL_ERROR" || status === "TIMED_OUT") reject(error ?? new Error(status));
      if (status === "SUBSCRIBED") answered.resolve(await pause());
    });
});

const answered = deferred();

async function pause() {
  const update = client.from("agent_stacks").update({ execution_state: "paused" });
  const { data, error } = await update.eq("id", STACK_ID).select("execution_state").single();
  if (error) throw new Error(error.message);
  return data.execution_state;
}

function deferred() {
  let resolve;
  const promise = new Promise((take) => {
    resolve = take;
  });
  return { promise, resolve };
}

console.log(JSON.stringify({ answered: await answered.promise, heard: await heard }));
await client.removeAllChannels();
