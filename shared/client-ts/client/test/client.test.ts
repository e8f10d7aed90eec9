/** What a client does, case by case, on a clock that the tests move. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { createClient } from "../src/index.js";
import { Setup, token } from "./setup.js";

test("it connects, catches up and is live", async () => {
  const setup = new Setup();
  assert.deepEqual(setup.client.state, { name: "closed", reason: "application", code: 0 });
  await setup.live();
  assert.deepEqual(setup.states, ["connecting", "catching-up", "live"]);
  const { url, protocols } = setup.connection;
  assert.equal(url.searchParams.get("since"), null);
  assert.match(url.searchParams.get("device") ?? "", /^id-/);
  assert.deepEqual(protocols, ["tidings.v1", "bearer." + token({ sub: "ada" })]);
});

test("a body keeps its own `seq` and `id`", async () => {
  const setup = await new Setup().live();
  const body = { id: "mine", seq: "too", text: '{"seq":1}' };
  setup.gateway.store(body);
  await setup.until(() => setup.received.length === 1);
  assert.deepEqual(setup.received, [body]);
});

test("it acknowledges after the promise of the handler is fulfilled, not before", async () => {
  const setup = new Setup();
  let fulfil: () => void = () => undefined;
  setup.client.onMessage(() => new Promise<void>((resolve) => (fulfil = resolve)));
  await setup.live();
  setup.gateway.store({ n: 1 });
  await setup.until(() => setup.received.length === 1);
  await setup.world.advance(60_000);
  assert.deepEqual(setup.gateway.acknowledged, []);
  fulfil();
  await setup.until(() => setup.gateway.acknowledged.length > 0);
  assert.deepEqual(setup.gateway.acknowledged, [1]);
});

test("many messages are acknowledged together", async () => {
  const setup = await new Setup().live();
  for (let n = 0; n < 500; n++) setup.gateway.store({ n });
  await setup.until(() => setup.received.length === 500 && setup.gateway.acknowledged.at(-1) === 500);
  assert.ok(setup.gateway.acknowledged.length < 50, String(setup.gateway.acknowledged.length));
});

test("a handler that throws is reported, and the next message comes", async () => {
  const setup = new Setup();
  setup.client.on({ n: 1 }, () => {
    throw new Error("in the handler");
  });
  setup.client.on({ n: 1 }, () => Promise.reject(new Error("in its promise")));
  await setup.live();
  setup.gateway.store({ n: 1 });
  setup.gateway.store({ n: 2 });
  await setup.until(() => setup.received.length === 2);
  assert.deepEqual(setup.errors.map(String), ["Error: in the handler", "Error: in its promise"]);
});

test("after a reload it goes on where the application stood", async () => {
  const setup = await new Setup().live();
  setup.gateway.store({ n: 1 });
  await setup.until(() => setup.received.length === 1);
  // The page is gone, without a word and without an acknowledgement.
  setup.connection.isSilent = true;
  setup.gateway.store({ n: 2 });
  const device = setup.connection.url.searchParams.get("device");
  setup.connection.end(1006);
  const again = setup.another();
  again.open();
  await setup.until(() => setup.received.length === 2);
  assert.deepEqual(setup.received, [{ n: 1 }, { n: 2 }]);
  assert.equal(setup.connection.url.searchParams.get("since"), "1-1");
  assert.equal(setup.connection.url.searchParams.get("device"), device);
});

test("another user of the same browser has a place of their own", async () => {
  let user = "ada";
  const setup = await new Setup({ token: () => token({ sub: user }) }).live();
  setup.gateway.store({ n: 1 });
  await setup.until(() => setup.received.length === 1);
  setup.client.close();
  user = "bert";
  await setup.live();
  assert.equal(setup.connection.url.searchParams.get("since"), null);
});

test("a gap is told once, and acknowledged", async () => {
  const setup = await new Setup().live();
  setup.gateway.store({ n: 1 });
  await setup.until(() => setup.received.length === 1);
  setup.gateway.recreate();
  setup.gateway.store({ n: 2 });
  await setup.until(() => setup.received.length === 2);
  await setup.world.advance(1000);
  assert.deepEqual(setup.gaps, [{ from: "1-1", to: "2-0", reason: "epoch" }]);
  assert.equal(setup.gateway.acknowledged.at(-2), 0);
  setup.connection.end(1006);
  await setup.world.advance(60_000);
  assert.equal(setup.gaps.length, 1);
});

test("the token is refreshed on the connection before it expires", async () => {
  let number = 0;
  const setup = new Setup({ token: () => token({ sub: "ada", number: (number += 1) }) });
  setup.gateway.lifetime = 100_000;
  await setup.live();
  const { connection } = setup;
  await setup.world.advance(250_000);
  assert.equal(setup.connection, connection);
  assert.deepEqual(setup.gateway.tokens, [1, 2, 3, 4].map((n) => token({ sub: "ada", number: n })));
});

test("a refused or failing refresh is tried again", async () => {
  let asked = 0;
  const setup = new Setup({
    token: () => {
      asked += 1;
      if (asked === 2) throw new Error("no network");
      return token({ sub: "ada", asked });
    },
  });
  setup.gateway.lifetime = 100_000;
  await setup.live();
  await setup.world.advance(90_000);
  assert.equal(setup.gateway.tokens.length, 2);
  assert.deepEqual(setup.errors.map(String), ["Error: no network"]);
});

const closings: [code: number, then: string, reason: string][] = [
  [1000, "closed", "code"],
  [1001, "waiting", "closed"],
  [1002, "closed", "code"],
  [1006, "waiting", "lost"],
  [1007, "closed", "code"],
  [1009, "closed", "code"],
  [1011, "waiting", "closed"],
  [1012, "waiting", "closed"],
  [1013, "waiting", "closed"],
  [1014, "waiting", "closed"],
  [3000, "closed", "code"],
  [4001, "waiting", "closed"],
  [4002, "waiting", "closed"],
  [4003, "waiting", "closed"],
  [4005, "waiting", "closed"],
  [4006, "waiting", "closed"],
  [4007, "waiting", "closed"],
  [4008, "waiting", "closed"],
  [4500, "closed", "code"],
  [4503, "closed", "code"],
];
for (const [code, name, reason] of closings) {
  test(`after ${String(code)} it is ${name}`, async () => {
    const setup = await new Setup().live();
    setup.connection.end(code);
    await setup.until(() => setup.client.state.name !== "live");
    const { state } = setup.client;
    assert.deepEqual([state.name, "reason" in state && state.reason], [name, reason]);
    if (code !== 1006) assert.equal("code" in state && state.code, code);
  });
}

test("a revoked token is not shown again", async () => {
  const setup = await new Setup().live();
  setup.connection.end(4006);
  await setup.until(() => setup.client.state.name === "closed");
  assert.deepEqual(setup.client.state, { name: "closed", reason: "unauthorized", code: 0 });
  assert.equal(setup.gateway.handshakes.length, 1);
});

test("a token with which the gateway refuses a handshake is not shown again, and a fresh one is at once", async () => {
  let number = 1;
  const setup = new Setup({ token: () => token({ sub: "ada", number }) });
  setup.gateway.refusals.push([4001, "TOKEN_EXPIRED"]);
  setup.client.open();
  await setup.until(() => setup.client.state.name === "closed");
  assert.deepEqual(setup.client.state, { name: "closed", reason: "unauthorized", code: 0 });
  assert.equal(setup.gateway.handshakes.length, 1);
  assert.equal(setup.gateway.handshakes[0]?.searchParams.get("refusals"), "close");
  setup.gateway.refusals.push([4001, "TOKEN_EXPIRED"]);
  number = 2;
  setup.client.onState(() => {
    if (setup.client.state.name === "waiting") number = 3;
  });
  setup.client.open();
  await setup.world.advance(2000);
  assert.equal(setup.client.state.name, "live");
});

test("it comes again when the gateway says, and stays away if it says so", async () => {
  const setup = new Setup();
  setup.gateway.refusals.push([4008, "TOO_MANY_ATTEMPTS; retry_after=17"], [4504, "TENANT_UNKNOWN"]);
  const delays: number[] = [];
  setup.client.onState(() => {
    const { state } = setup.client;
    if (state.name === "waiting") delays.push(state.code, state.until - setup.world.now);
  });
  setup.client.open();
  await setup.until(() => setup.client.state.name === "closed");
  assert.deepEqual(delays, [4008, 17_000]);
  assert.deepEqual(setup.client.state, { name: "closed", reason: "code", code: 4504 });
  assert.equal(setup.gateway.handshakes.length, 2);
});

test("nobody is logged in", async () => {
  const setup = new Setup({ token: () => null });
  setup.client.open();
  await setup.until(() => setup.client.state.name === "closed");
  assert.deepEqual(setup.client.state, { name: "closed", reason: "unauthorized", code: 0 });
});

test("it waits 3, 6, 12, 24, 48 and 48 seconds", async () => {
  const setup = new Setup();
  setup.gateway.isUp = false;
  const delays: number[] = [];
  setup.client.onState(() => {
    const { state } = setup.client;
    if (state.name === "waiting") delays.push(state.until - setup.world.now);
  });
  setup.client.open();
  await setup.until(() => delays.length === 6);
  assert.deepEqual(delays, [3000, 6000, 12_000, 24_000, 48_000, 48_000]);
});

test("after five attempts it gives up, if it is asked to", async () => {
  const setup = new Setup({ reconnect: { attempts: 5 } });
  setup.gateway.isUp = false;
  setup.client.open();
  await setup.until(() => setup.client.state.name === "closed");
  assert.deepEqual(setup.client.state, { name: "closed", reason: "attempts", code: 1006 });
  assert.equal(setup.gateway.handshakes.length, 6);
});

test("with full jitter it waits any time up to a bound that doubles", async () => {
  const setup = new Setup({ reconnect: { jitter: { base: 1000, cap: 4000 } } });
  setup.gateway.isUp = false;
  const delays: number[] = [];
  setup.client.onState(() => {
    const { state } = setup.client;
    if (state.name === "waiting") delays.push(state.until - setup.world.now);
  });
  setup.client.open();
  await setup.until(() => delays.length === 40);
  assert.ok(delays.every((delay, n) => delay <= Math.min(4000, 1000 * 2 ** n)));
  assert.ok(Math.max(...delays) > 3000 && Math.min(...delays) < 1000);
});

test("it connects at once when the network is back", async () => {
  const setup = new Setup();
  setup.gateway.isUp = false;
  setup.client.open();
  await setup.until(() => setup.gateway.handshakes.length === 5);
  setup.gateway.isUp = true;
  await setup.until(() => setup.client.state.name === "waiting");
  const before = setup.world.now;
  setup.awake();
  await setup.until(() => setup.client.state.name === "live");
  assert.ok(setup.world.now - before < 1000);
});

test("a connection on which nothing comes any more is replaced", async () => {
  const setup = await new Setup().live();
  setup.connection.isSilent = true;
  setup.gateway.store({ n: 1 });
  const before = setup.world.now;
  await setup.until(() => setup.received.length === 1);
  assert.ok(setup.world.now - before < 45_000);
  assert.ok(setup.states.includes("waiting"));
});

test("a quiet connection stays", async () => {
  const setup = await new Setup().live();
  const { connection } = setup;
  await setup.world.advance(3_600_000);
  assert.equal(setup.connection, connection);
});

test("on waking it asks at once whether the connection is there", async () => {
  const setup = await new Setup().live();
  setup.connection.isSilent = true;
  const before = setup.world.now;
  setup.awake();
  await setup.until(() => setup.client.state.name === "waiting");
  assert.ok(setup.world.now - before <= 10_100);
});

test("a gateway that drains is left in time, and that is no failure", async () => {
  const setup = new Setup({ reconnect: { delays: [1_000_000] } });
  await setup.live();
  const { connection } = setup;
  connection.tell({ action: "draining", reconnect_in_ms: 5000 });
  await setup.world.advance(8000);
  assert.notEqual(setup.connection, connection);
  assert.equal(setup.client.state.name, "live");
});

test("handlers that are too far behind are waited for without a connection", async () => {
  const setup = new Setup({ maxQueued: 10 });
  const waiting: (() => void)[] = [];
  setup.client.onMessage(() => new Promise<void>((resolve) => waiting.push(resolve)));
  await setup.live();
  for (let n = 0; n < 100; n++) setup.gateway.store({ n });
  await setup.until(() => setup.client.state.name === "waiting");
  assert.equal("reason" in setup.client.state && setup.client.state.reason, "behind");
  await setup.world.advance(60_000);
  assert.equal(setup.received.length, 1);
  await setup.until(() => {
    waiting.shift()?.();
    return setup.received.length === 100;
  });
  assert.deepEqual(setup.received, Array.from({ length: 100 }, (_, n) => ({ n })));
});

test("where nothing can be kept it works, and says so", async () => {
  const store = {
    getItem: () => null,
    setItem: () => {
      throw new Error("full");
    },
  };
  const setup = await new Setup({ store, device: "phone" }).live();
  setup.gateway.store({ n: 1 });
  await setup.until(() => setup.received.length === 1 && setup.gateway.acknowledged.length === 1);
  assert.equal(String(setup.errors[0]), "Error: full");
});

test("a client can be made where there is neither WebSocket nor page", () => {
  assert.equal(createClient({ url: "/api/ws" }).state.name, "closed");
});
