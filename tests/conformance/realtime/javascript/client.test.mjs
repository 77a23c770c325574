// What the official JavaScript client relies on, against the Supabase that the environment names (see place.py).
// Run by test_javascript_client.py, in the folder whose node_modules has the client.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { afterEach, test } from "node:test";

const load = createRequire(`${process.cwd()}/`);
const { createClient } = load("@supabase/supabase-js");
const ws = load("ws");

const { REALTIME_URL, REALTIME_ANON_KEY, REALTIME_SERVICE_KEY, REALTIME_ADA, REALTIME_BOB, REALTIME_BROKEN } = process.env;
const { REALTIME_ADA_ID, REALTIME_BOB_ID } = process.env;
const ROUNDS = Number(process.env.REALTIME_ROUNDS ?? 30);
const PATIENCE_MS = 15_000;

const clients = [];

async function connect(token = null, options = {}) {
  const realtime = { transport: ws, ...options };
  // Not setAuth(token): the client asks for its token anew after each join, and without a session falls back to the key.
  const identity = token ? { accessToken: async () => token } : { auth: { persistSession: false, autoRefreshToken: false } };
  const client = createClient(REALTIME_URL, REALTIME_ANON_KEY, { ...identity, realtime });
  if (token) await client.realtime.setAuth();
  clients.push(client);
  return client;
}

afterEach(async () => {
  for (const client of clients.splice(0)) {
    await client.removeAllChannels();
    client.realtime.disconnect();
  }
});

const service = createClient(REALTIME_URL, REALTIME_SERVICE_KEY, { auth: { persistSession: false }, realtime: { transport: ws } });

async function insert(table, ...rows) {
  const { error } = await service.from(table).insert(rows);
  assert.equal(error, null);
}

/** What arrives, in order: `await inbox.take(n)`. */
class Inbox {
  items = [];
  waiting = null;
  put = (item) => {
    this.items.push(item);
    this.waiting?.();
  };
  async take(count) {
    const deadline = Date.now() + PATIENCE_MS;
    while (this.items.length < count) {
      const left = deadline - Date.now();
      assert.ok(left > 0, `${this.items.length} of ${count} arrived`);
      await new Promise((resolve) => {
        this.waiting = resolve;
        setTimeout(resolve, left).unref();
      });
    }
    return this.items.splice(0, count);
  }
}

function subscribed(channel) {
  return new Promise((resolve, reject) => {
    channel.subscribe((status, error) => {
      if (status === "SUBSCRIBED") resolve();
      else if (status !== "CLOSED") reject(error ?? new Error(status));
    });
  });
}

async function listen(client, table, run, topic = "room") {
  const inbox = new Inbox();
  const channel = client.channel(topic);
  const binding = { event: "*", schema: "public", table, filter: `run=eq.${run}` };
  channel.on("postgres_changes", binding, (payload) => inbox.put(payload.new.n));
  await subscribed(channel);
  return { inbox, channel };
}

const range = (count) => [...Array(count).keys()];

test(`an insert right after the join arrives, ${ROUNDS} times`, async () => {
  const client = await connect();
  const run = randomUUID();
  for (const n of range(ROUNDS)) {
    const { inbox, channel } = await listen(client, "conformance_open", run, `round-${n}`);
    await insert("conformance_open", { run, n });
    assert.deepEqual(await inbox.take(1), [n]);
    await client.removeChannel(channel);
  }
});

test("a thousand rows of one transaction arrive in order", async () => {
  const run = randomUUID();
  const { inbox } = await listen(await connect(), "conformance_open", run);
  await insert("conformance_open", ...range(1000).map((n) => ({ run, n })));
  assert.deepEqual(await inbox.take(1000), range(1000));
});

test("people hear of their own rows", async () => {
  const run = randomUUID();
  const ada = await listen(await connect(REALTIME_ADA), "conformance_owned", run);
  const bob = await listen(await connect(REALTIME_BOB), "conformance_owned", run);
  const owners = [REALTIME_ADA_ID, REALTIME_BOB_ID, REALTIME_BOB_ID, REALTIME_ADA_ID];
  await insert("conformance_owned", ...owners.map((owner, n) => ({ run, n, owner })));
  assert.deepEqual(await ada.inbox.take(2), [0, 3]);
  assert.deepEqual(await bob.inbox.take(2), [1, 2]);
});

test("a policy that raises for one of three leaves the others every row", async () => {
  const run = randomUUID();
  const [ada, broken, bob] = [REALTIME_ADA, REALTIME_BROKEN, REALTIME_BOB].map(async (token) =>
    listen(await connect(token), "conformance_raising", run),
  );
  await Promise.all([ada, broken, bob]);
  for (const ten of range(10)) await insert("conformance_raising", ...range(10).map((k) => ({ run, n: 10 * ten + k })));
  assert.deepEqual(await (await ada).inbox.take(100), range(100));
  assert.deepEqual(await (await bob).inbox.take(100), range(100));
  assert.deepEqual((await broken).inbox.items, []);
});

test("updates and deletes carry what they should", async () => {
  const run = randomUUID();
  const inbox = new Inbox();
  const channel = (await connect()).channel("room");
  channel.on("postgres_changes", { event: "*", schema: "public", table: "conformance_open" }, (payload) => {
    if (payload.eventType !== "INSERT") inbox.put(payload);
  });
  await subscribed(channel);
  await insert("conformance_open", { run, n: 1, title: "a" });
  const { data } = await service.from("conformance_open").update({ title: "b" }).eq("run", run).select("id").single();
  await service.from("conformance_open").delete().eq("run", run);
  const [updated, deleted] = await inbox.take(2);
  assert.deepEqual([updated.eventType, updated.new.title, updated.old.id], ["UPDATE", "b", data.id]);
  assert.deepEqual([deleted.eventType, deleted.old, deleted.new], ["DELETE", { id: data.id }, {}]);
});

for (const vsn of ["1.0.0", "2.0.0"]) {
  test(`broadcasts in version ${vsn}: heard, acknowledged, echoed where wanted`, async () => {
    const topic = randomUUID();
    const config = { broadcast: { self: true, ack: true } };
    const sender = (await connect(null, { vsn })).channel(topic, { config });
    const peer = (await connect()).channel(topic);
    const [own, heard] = [new Inbox(), new Inbox()];
    sender.on("broadcast", { event: "cursor" }, ({ payload }) => own.put(payload));
    peer.on("broadcast", { event: "cursor" }, ({ payload }) => heard.put(payload));
    await Promise.all([subscribed(sender), subscribed(peer)]);
    assert.equal(await sender.send({ type: "broadcast", event: "cursor", payload: { x: 1 } }), "ok");
    assert.deepEqual(await heard.take(1), [{ x: 1 }]);
    assert.deepEqual(await own.take(1), [{ x: 1 }]);
  });
}

test("bytes stay bytes", async () => {
  const topic = randomUUID();
  const [sender, peer] = [(await connect()).channel(topic), (await connect()).channel(topic)];
  const heard = new Inbox();
  peer.on("broadcast", { event: "raw" }, ({ payload }) => heard.put(new Uint8Array(payload)));
  await Promise.all([subscribed(sender), subscribed(peer)]);
  await sender.send({ type: "broadcast", event: "raw", payload: new Uint8Array([0, 255, 7]).buffer });
  assert.deepEqual(await heard.take(1), [new Uint8Array([0, 255, 7])]);
});

test("presence: who is there, who comes, who goes", async () => {
  const topic = randomUUID();
  const first = (await connect()).channel(topic, { config: { presence: { key: "first" } } });
  const second = (await connect()).channel(topic, { config: { presence: { key: "second" } } });
  const [joins, leaves] = [new Inbox(), new Inbox()];
  first.on("presence", { event: "join" }, ({ key }) => joins.put(key));
  first.on("presence", { event: "leave" }, ({ key }) => leaves.put(key));
  second.on("presence", { event: "sync" }, () => {});
  await Promise.all([subscribed(first), subscribed(second)]);
  await second.track({ mood: "ok" });
  assert.deepEqual(await joins.take(1), ["second"]);
  assert.equal(first.presenceState().second[0].mood, "ok");
  await second.unsubscribe();
  assert.deepEqual(await leaves.take(1), ["second"]);
});

test("private channels hear the database, and let in only whom a policy names", async () => {
  const topic = `conformance-${randomUUID()}`;
  const inbox = new Inbox();
  const channel = (await connect(REALTIME_BOB)).channel(topic, { config: { private: true } });
  channel.on("broadcast", { event: "said" }, ({ payload, meta }) => inbox.put([payload.n, typeof meta?.id]));
  await subscribed(channel);
  for (const n of range(10)) {
    const { error } = await service.rpc("conformance_say", { topic, n });
    assert.equal(error, null);
  }
  assert.deepEqual(await inbox.take(10), range(10).map((n) => [n, "string"]));
  const stranger = (await connect()).channel(topic, { config: { private: true } });
  await assert.rejects(subscribed(stranger), /permissions to read/);
});

test("only who may write to a private channel is heard there", async () => {
  const topic = `conformance-${randomUUID()}`;
  const config = { private: true };
  const ada = (await connect(REALTIME_ADA)).channel(topic, { config });
  const bob = (await connect(REALTIME_BOB)).channel(topic, { config });
  const inbox = new Inbox();
  for (const channel of [ada, bob]) channel.on("broadcast", { event: "*" }, ({ payload }) => inbox.put(payload.from));
  await Promise.all([subscribed(ada), subscribed(bob)]);
  await bob.send({ type: "broadcast", event: "e", payload: { from: "bob" } });
  await ada.send({ type: "broadcast", event: "e", payload: { from: "ada" } });
  assert.deepEqual(await inbox.take(1), ["ada"]);
});

test("what a sender wants kept is said once, and replayed to whoever joins later", async () => {
  const topic = `conformance-${randomUUID()}`;
  const config = { private: true, broadcast: { ack: true } };
  const ada = (await connect(REALTIME_ADA)).channel(topic, { config });
  const bob = (await connect(REALTIME_BOB)).channel(topic, { config });
  const [heard, replayed] = [new Inbox(), new Inbox()];
  bob.on("broadcast", { event: "*" }, ({ payload }) => heard.put(payload.n));
  await Promise.all([subscribed(ada), subscribed(bob)]);
  assert.equal(await ada.send({ type: "broadcast", event: "e", payload: { n: 1 }, persist: true }), "ok");
  assert.equal(await ada.send({ type: "broadcast", event: "e", payload: { n: 2 }, persist: { ttl: 60 } }), "ok");
  assert.deepEqual(await ada.httpSend("e", { n: 3 }, { persist: true }), { success: true });
  assert.notEqual(await bob.send({ type: "broadcast", event: "e", payload: { n: 0 }, persist: true }), "ok");
  await ada.send({ type: "broadcast", event: "e", payload: { n: 4 } });
  assert.deepEqual(await heard.take(4), [1, 2, 3, 4]);
  const replay = { since: Date.now() - 60_000, limit: 10 };
  const late = (await connect(REALTIME_BOB)).channel(topic, { config: { private: true, broadcast: { replay } } });
  late.on("broadcast", { event: "*" }, ({ payload, meta }) => replayed.put([payload.n, meta?.replayed]));
  await subscribed(late);
  assert.deepEqual(await replayed.take(3), [1, 2, 3].map((n) => [n, true]));
});
