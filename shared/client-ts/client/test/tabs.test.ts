/** Several tabs with one connection: locks and channels as browsers have them, on a clock that the tests move. */

import assert from "node:assert/strict";
import { test } from "node:test";

import type { Tidings } from "../src/index.js";
import { type TabEnvironment, createTabsClient } from "../src/tabs.js";
import { Setup, token } from "./setup.js";

interface Waiter {
  readonly page: Page;
  readonly hold: () => Promise<unknown>;
}

/** The locks and channels of an origin. */
class Origin {
  readonly pages: Page[] = [];
  readonly #locks = new Map<string, Waiter[]>();

  /** Grants a lock to the first that waits, until it lets go or its page is gone. */
  #grant(name: string): void {
    const waiters = this.#locks.get(name) ?? [];
    const [first] = waiters;
    if (!first) return;
    void first.hold().then(() => {
      this.#end(name, first);
    });
  }

  #end(name: string, waiter: Waiter): void {
    const waiters = this.#locks.get(name) ?? [];
    const wasFirst = waiters[0] === waiter;
    this.#locks.set(name, waiters.filter((other) => other !== waiter));
    if (wasFirst) this.#grant(name);
  }

  request(page: Page, name: string, signal: { aborted: boolean } | undefined, hold: () => Promise<unknown>): Promise<unknown> {
    const isOver = () => signal?.aborted === true || !page.isThere;
    const waiter = { page, hold: () => (isOver() ? Promise.resolve() : hold()) };
    const waiters = [...(this.#locks.get(name) ?? []), waiter];
    this.#locks.set(name, waiters);
    // A browser grants in a task of its own.
    if (waiters.length === 1) queueMicrotask(() => {
        this.#grant(name);
      });
    return new Promise(() => undefined);
  }

  /** A page is gone: its locks go to others. */
  leave(page: Page): void {
    for (const [name, waiters] of [...this.#locks]) {
      for (const waiter of waiters) if (waiter.page === page) this.#end(name, waiter);
    }
  }
}

/** One tab, until it is killed. */
class Page {
  isThere = true;
  readonly received: unknown[] = [];
  readonly client: Tidings;

  constructor(
    readonly setup: Setup,
    readonly origin: Origin,
  ) {
    origin.pages.push(this);
    const { world, gateway, chance, store } = setup;
    const tabs: TabEnvironment = {
      channel: () => this.#channel(),
      locks: { request: (name, { signal }, hold) => origin.request(this, name, signal, hold) },
    };
    this.client = createTabsClient({
      url: "ws://gateway/api/ws",
      tabs,
      token: () => token({ sub: "ada" }),
      reconnect: { delays: [100] },
      connect: (url, protocols) => {
        const socket = gateway.connect(url, protocols);
        this.sockets.push(socket);
        return socket;
      },
      now: () => world.now,
      random: chance.next,
      unique: world.unique,
      setTimeout: (run, after) => 
        world.setTimeout(() => {
          if (this.isThere) run();
        }, after),
      clearTimeout: world.clearTimeout,
      onAwake: () => () => undefined,
      store,
    });
    this.client.onMessage((message) => {
      assert.ok(this.isThere);
      this.received.push(message);
      // Others have had it before its position is kept.
      return new Promise((resolve) => world.setTimeout(() => resolve(undefined), 10));
    });
    this.client.open();
  }

  readonly sockets: { close(): void }[] = [];
  #listener: { onmessage: ((event: never) => void) | null; postMessage(value: unknown): void; close(): void } | undefined;

  #channel() {
    const channel = {
      onmessage: null as ((event: never) => void) | null,
      postMessage: (value: unknown) => {
        const data = structuredClone(value);
        for (const page of this.origin.pages) {
          if (page === this) continue;
          this.setup.world.setTimeout(() => {
            if (page.isThere) page.#listener?.onmessage?.({ data } as never);
          }, 1);
        }
      },
      close: () => {
        this.#listener = undefined;
      },
    };
    this.#listener = channel;
    return channel;
  }

  /** The tab dies, without a word. */
  kill(): void {
    this.isThere = false;
    for (const socket of this.sockets) socket.close();
    this.origin.leave(this);
  }
}

async function five(): Promise<{ setup: Setup; pages: Page[] }> {
  const setup = new Setup();
  const origin = new Origin();
  const pages = Array.from({ length: 5 }, () => new Page(setup, origin));
  await setup.until(() => pages.every(({ client }) => client.state.name === "live"));
  return { setup, pages };
}

const numbers = (count: number) => Array.from({ length: count }, (_, n) => ({ n }));

test("five tabs have one connection, and each message comes to each of them", async () => {
  const { setup, pages } = await five();
  assert.equal(setup.gateway.handshakes.length, 1);
  for (const message of numbers(10)) setup.gateway.store(message);
  await setup.until(() => pages.every(({ received }) => received.length === 10));
  for (const { received } of pages) assert.deepEqual(received, numbers(10));
});

for (const how of ["killed", "closed"]) {
  test(`the tab that leads is ${how} in the middle of it: nothing is lost, and nothing comes twice`, async () => {
    for (let moment = 0; moment < 40; moment++) {
      const { setup, pages } = await five();
      const [leader, ...others] = pages;
      for (const [n, message] of numbers(20).entries()) {
        setup.gateway.store(message);
        await setup.world.advance(5);
        if (n !== moment % 20) continue;
        await setup.world.advance(moment);
        if (how === "killed") leader?.kill();
        else leader?.client.close();
      }
      const before = setup.world.now;
      await setup.until(() => others.every(({ received }) => received.length >= 20));
      assert.ok(setup.world.now - before < 1000, "another has taken over");
      await setup.world.advance(5000);
      for (const { received } of others) assert.deepEqual(received, numbers(20));
      assert.equal(setup.gateway.connections.size, 1);
    }
  });
}

test("a topic is subscribed to as long as any tab that is there wants it", async () => {
  const { setup, pages } = await five();
  const [, second, third, fourth] = pages;
  const end = second!.client.subscribe("incidents", { squad: "a" });
  third!.client.subscribe("incidents", { squad: "b" });
  fourth!.client.subscribe("tasks");
  await setup.until(() => setup.gateway.topics.get("incidents") === '{"squad":["a","b"]}' && setup.gateway.topics.has("tasks"));
  end();
  await setup.until(() => setup.gateway.topics.get("incidents") === '{"squad":["b"]}');
  fourth!.kill();
  await setup.until(() => !setup.gateway.topics.has("tasks"));
  assert.ok(setup.gateway.topics.has("incidents"));
});

test("the next tab that leads subscribes to the same, and answers what was asked", async () => {
  const { setup, pages } = await five();
  const [first, second, third] = pages;
  third!.client.subscribe("incidents");
  await setup.until(() => setup.gateway.topics.has("incidents"));
  setup.connection.isSilent = true;
  const published = third!.client.publish({ action: "say", text: "a" });
  const answered = second!.client.request("progress", { docId: "d" });
  await setup.world.advance(50);
  setup.gateway.topics.clear();
  first!.kill();
  await setup.until(() => setup.gateway.topics.has("incidents") && setup.gateway.publications.length === 1);
  const [id, answer] = await Promise.all([published, answered, setup.world.advance(1000)]);
  assert.equal(id, setup.gateway.log[0]?.id);
  assert.deepEqual(answer, { status: "progress", docId: "d" });
});

test("what the gateway refuses is refused in the tab that asked", async () => {
  const { setup, pages } = await five();
  const refused = assert.rejects(pages[3]!.client.request("progress", { docId: "none" }), { code: "NOT_FOUND" });
  await Promise.all([refused, setup.world.advance(1000)]);
  pages[3]!.client.close();
  await assert.rejects(pages[3]!.client.request("progress", { docId: "d" }), { code: "CLOSED" });
});
