/** Networks in which no WebSocket opens, or none lives: the same gateway, by HTTP. */

import assert from "node:assert/strict";
import { test } from "node:test";

import type { Socket } from "../src/index.js";
import { type Fetch, withHttp } from "../src/http.js";
import type { Connection } from "./model.js";
import { Setup } from "./setup.js";

type Frame = Readonly<Record<string, unknown>>;

/** A network between client and gateway. */
class Network {
  /** What becomes of WebSockets: they open, they never do, or they die soon. */
  sockets: "open" | "blocked" | "refused" | "dying" = "open";
  /** Whether a proxy holds event streams back. */
  holds = false;
  http = 0;
  polls = 0;
  readonly #byName = new Map<string, Connection>();
  readonly #setup: () => Setup;

  constructor(setup: () => Setup) {
    this.#setup = setup;
  }

  readonly connect = (url: string, protocols: string[]): Socket => {
    const { gateway, world } = this.#setup();
    if (this.sockets === "open") return gateway.connect(url, protocols);
    if (this.sockets === "dying") {
      const socket = gateway.connect(url, protocols) as Connection;
      world.setTimeout(() => {
        socket.end(1006);
      }, 2000);
      return socket;
    }
    const dead: Socket = { onopen: null, onmessage: null, onclose: null, onerror: null, send: () => undefined, close: () => undefined };
    if (this.sockets === "refused") world.setTimeout(() => dead.onclose?.({ code: 1006, reason: "" } as never), 10);
    return dead;
  };

  readonly fetch: Fetch = (url, { method, body, headers, signal }) => {
    const answer = { status: 202, headers: { get: () => null }, body: null, text: () => Promise.resolve("") };
    const at = new URL(url);
    if (at.searchParams.has("device") && method === "POST") return this.#page(at, JSON.parse(body ?? "") as Frame[], headers, signal as AbortSignal);
    if (this.holds && method !== "POST") {
      return new Promise((_, reject) => {
        (signal as AbortSignal).addEventListener("abort", () => {
          reject(new Error("aborted"));
        });
      });
    }
    if (method === "POST") {
      assert.equal(at.pathname, "/api/messages");
      const connection = this.#byName.get(at.searchParams.get("connection") ?? "");
      if (!connection || !this.#setup().gateway.connections.has(connection)) return Promise.resolve({ ...answer, status: 404 });
      connection.send(body ?? "");
      return Promise.resolve(answer);
    }
    assert.equal(at.pathname, "/api/sse");
    this.http += 1;
    const name = `c${String(this.http)}`;
    const chunks: (string | undefined)[] = [];
    let wake: () => void = () => undefined;
    const push = (chunk: string | undefined) => {
      chunks.push(chunk);
      wake();
    };
    const token = (headers["authorization"] ?? "").replace("Bearer ", "bearer.");
    const connection = this.#setup().gateway.connect(url.replace("/api/sse", "/api/ws"), ["tidings.v1", token]) as Connection;
    this.#byName.set(name, connection);
    connection.onopen = () => {
      push(`retry: 1\n\nevent: open\ndata: {"connection":"${name}"}\n\n`);
    };
    connection.onmessage = ({ data }: { data: string }) => {
      // In pieces, as networks deliver.
      const text = `id: 1-1\ndata: ${data}\n\n:\n\n`;
      push(text.slice(0, 7));
      push(text.slice(7));
    };
    connection.onclose = ({ code, reason }: { code: number; reason: string }) => {
      if (code !== 1006) push(`event: close\ndata: ${JSON.stringify({ code, reason })}\n\n`);
      push(undefined);
    };
    (signal as AbortSignal).addEventListener("abort", () => {
      connection.close();
    });
    const read = async () => {
      while (chunks.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      const chunk = chunks.shift();
      return chunk === undefined ? { done: true } : { done: false, value: new TextEncoder().encode(chunk) };
    };
    return Promise.resolve({ ...answer, status: 200, body: { getReader: () => ({ read }) } });
  };

  /** A request that is answered when the client has everything and something has come, or its time is over. */
  #page(at: URL, said: readonly Frame[], headers: Readonly<Record<string, string>>, signal: AbortSignal): ReturnType<Fetch> {
    this.polls += 1;
    const { gateway, world } = this.#setup();
    const after = at.searchParams.get("after");
    if (after) at.searchParams.set("since", after.replace(/-0+(?=\d)/, "-"));
    at.pathname = at.pathname.replace("messages", "ws");
    const token = (headers["authorization"] ?? "").replace("Bearer ", "bearer.");
    const connection = gateway.connect(at.href, ["tidings.v1", token]) as Connection;
    const collected: string[] = [];
    let next = "";
    let [isCaughtUp, news, answers] = [false, 0, 0];
    return new Promise((resolve, reject) => {
      const finish = (status: number, code = 0) => {
        connection.onmessage = connection.onclose = null;
        connection.close();
        const get = (name: string) => (name === "stream-next-offset" ? next : name === "retry-after" && code ? "1" : null);
        resolve({ status, headers: { get }, body: null, text: () => Promise.resolve(`[${collected.join(",\n")}]`) });
      };
      const look = (wait: string) => {
        if (isCaughtUp && answers >= said.length && (news > 0 || wait === "0")) finish(200);
      };
      connection.onopen = () => {
        for (const message of said) connection.send(JSON.stringify(message));
        world.setTimeout(() => {
          finish(200);
        }, 1000 * Number(at.searchParams.get("wait")) + 500);
      };
      connection.onmessage = ({ data }: { data: string }) => {
        collected.push(data);
        const { action, position, to, seq, type } = JSON.parse(data) as Record<string, string>;
        isCaughtUp ||= action === "caught_up";
        if (seq) news += 1;
        else if (type === "error" || !["welcome", "caught_up", "gap"].includes(action ?? "")) answers += 1;
        const epoch = next.split("-")[0] ?? "";
        next = position ?? to ?? (seq ? `${epoch}-${Number(seq).toString().padStart(20, "0")}` : next);
        look(at.searchParams.get("wait") ?? "0");
      };
      connection.onclose = ({ code }: { code: number }) => {
        if (code === 4001) finish(401);
        else reject(new Error("broken"));
      };
      signal.addEventListener("abort", () => {
        connection.onmessage = connection.onclose = null;
        connection.close();
        reject(new Error("aborted"));
      });
    });
  }
}

function network(): { readonly setup: Setup; readonly between: Network } {
  const between = new Network(() => setup);
  const setup: Setup = new Setup({
    connect: (url, protocols) => either(url, protocols),
  });
  const { world } = setup;
  const { connect, fetch } = between;
  const either = withHttp({ connect, fetch, now: () => world.now, setTimeout: world.setTimeout, clearTimeout: world.clearTimeout });
  return { setup, between };
}

for (const sockets of ["blocked", "refused"] as const) {
  test(`where WebSockets are ${sockets} it is live by HTTP in under five seconds, and goes back when it can`, async () => {
    const { setup, between } = network();
    between.sockets = sockets;
    const { now } = setup.world;
    await setup.live();
    assert.ok(setup.world.now - now < 5000, String(setup.world.now - now));
    assert.equal(between.http, 1);
    setup.gateway.store({ n: 1 });
    const published = setup.client.publish({ action: "say", text: "by HTTP" });
    setup.client.subscribe("incidents", { squad: ["x"] });
    await Promise.all([published, setup.world.advance(2000)]);
    assert.deepEqual(setup.received, [{ n: 1 }, { type: "said", text: "by HTTP" }]);
    assert.equal(setup.gateway.topics.get("incidents"), '{"squad":["x"]}');
    assert.equal(setup.gateway.acknowledged.at(-1), 2);
    // Still blocked: another look, and HTTP again.
    await setup.world.advance(70_000);
    assert.equal(between.http, 2);
    between.sockets = "open";
    for (let n = 2; n < 100; n++) {
      setup.gateway.store({ n });
      await setup.world.advance(3000);
    }
    assert.equal(between.http, 2);
    assert.deepEqual(setup.received.slice(2), Array.from({ length: 98 }, (_, n) => ({ n: n + 2 })));
    assert.deepEqual(setup.errors, []);
  });
}

test("where WebSockets die again and again it goes on by HTTP, and nothing is lost or comes twice", async () => {
  const { setup, between } = network();
  between.sockets = "dying";
  await setup.live();
  for (let n = 0; n < 60; n++) {
    setup.gateway.store({ n });
    await setup.world.advance(1000);
  }
  await setup.until(() => setup.received.length === 60);
  assert.ok(between.http >= 1);
  assert.deepEqual(setup.received, Array.from({ length: 60 }, (_, n) => ({ n })));
});

test("where a proxy holds event streams back it asks again and again, and nothing is lost or comes twice", async () => {
  const { setup, between } = network();
  [between.sockets, between.holds] = ["blocked", true];
  const { now } = setup.world;
  await setup.live();
  assert.ok(setup.world.now - now < 8000, String(setup.world.now - now));
  setup.client.subscribe("incidents", { squad: ["x"] });
  const published = setup.client.publish({ action: "say", text: "by requests" });
  await Promise.all([published, setup.world.advance(2000)]);
  for (let n = 0; n < 40; n++) {
    setup.gateway.store({ n });
    await setup.world.advance(n % 3 === 0 ? 1700 : 10);
  }
  // The tenant moves while a request waits.
  await setup.world.advance(5000);
  setup.gateway.move();
  for (let n = 40; n < 60; n++) {
    setup.gateway.store({ n });
    await setup.world.advance(700);
  }
  await setup.until(() => setup.received.length === 61);
  assert.deepEqual(setup.received, [{ type: "said", text: "by requests" }, ...Array.from({ length: 60 }, (_, n) => ({ n }))]);
  assert.equal(setup.gateway.topics.get("incidents"), '{"squad":["x"]}');
  const { polls } = between;
  assert.ok(polls > 10 && between.http === 0, String(polls));
  // A request waits for long.
  await setup.world.advance(20_000);
  assert.ok(between.polls - polls < 6, String(between.polls - polls));
  assert.deepEqual(setup.errors, []);
});

test("what HTTP refuses has the consequence of the close code", async () => {
  const { setup, between } = network();
  between.sockets = "refused";
  setup.gateway.refusals.push([4001, "TOKEN_EXPIRED"]);
  setup.client.open();
  await setup.until(() => setup.client.state.name === "closed");
  assert.deepEqual(setup.client.state, { name: "closed", reason: "unauthorized", code: 0 });
});
