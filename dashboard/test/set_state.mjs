// Asks for a state of one stack with supabase-js: a plain UPDATE, and what the row says then.
import { createClient } from "@supabase/supabase-js";
import ws from "ws";

const { API_URL, KEY, NAME, STATE } = process.env;

// Node 20 has no websocket of its own.
const client = createClient(API_URL, KEY, { auth: { persistSession: false }, realtime: { transport: ws } });
const update = client.from("agent_stacks").update({ execution_state: STATE }).eq("participant_name", NAME);
const { data, error } = await update.select("execution_state").single();
if (error) throw new Error(error.message);
console.log(JSON.stringify(data));
