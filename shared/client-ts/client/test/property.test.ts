/**
 * The client against a gateway in memory, through random faults: connections that break, fall silent or are refused, moves to
 * other shards, streams made anew, retention, reloads of the page, slow and failing handlers. Whatever happens, each message
 * comes once and in order, or a gap is told.
 *
 * `TIDINGS_SEED=7 TIDINGS_RUNS=10000` runs others, and more.
 */

import assert from "node:assert/strict";
import { test } from "node:test";

import type { Gap, Tidings } from "../src/index.js";
import { Setup, token } from "./setup.js";

const FIRST = Number(process.env["TIDINGS_SEED"] ?? 1);
const RUNS = Number(process.env["TIDINGS_RUNS"] ?? 150);
const STEPS = 40;

/** What one application has seen, over all reloads. */
type Seen = { readonly id: string } | { readonly gap: Gap };

class Run {
  readonly setup: Setup;
  readonly seen: Seen[] = [];
  readonly published: Promise<void>[] = [];
  readonly said: string[] = [];
  readonly topics = new Map<string, () => void>();
  client: Tidings;
  #page = 0;
  /** No token is shown twice, so none is over when it comes. */
  #tokens = 0;

  constructor(seed: number) {
    this.setup = new Setup({ reconnect: { delays: [100, 500, 2000] } }, seed);
    this.client = this.load();
  }

  /** Loads the page: a client, and handlers that take their time. */
  load(): Tidings {
    const { setup } = this;
    const { chance, world } = setup;
    this.#page += 1;
    const page = this.#page;
    const client = setup.another({
      reconnect: { delays: [100, 500, 2000] },
      maxQueued: 20,
      token: () => token({ sub: "ada", n: (this.#tokens += 1) }),
    });
    const handle = (seen: Seen) => {
      // What a page that is gone would do does not happen.
      const done = () => {
        if (page === this.#page) this.seen.push(seen);
        if (chance.is(0.1)) throw new Error("a handler fails");
        return true;
      };
      const after = chance.is(0.3) ? chance.below(3000) : 0;
      if (after === 0) return done();
      return new Promise<boolean>((resolve, reject) => {
        world.setTimeout(() => {
          // A handler of a page that is gone never ends.
          if (page !== this.#page) return;
          try {
            resolve(done());
          } catch (error) {
            reject(error instanceof Error ? error : new Error(String(error)));
          }
        }, after);
      });
    };
    client.onMessage((_, { id }) => handle({ id }));
    client.onGap((gap) => handle({ gap }));
    for (const topic of this.topics.keys()) this.topics.set(topic, client.subscribe(topic));
    client.open();
    return client;
  }

  reload(): void {
    for (const connection of [...this.setup.gateway.connections]) connection.close();
    // The page is gone: nothing of it connects again.
    this.client.close();
    this.client = this.load();
  }

  say(text: string): void {
    this.said.push(text);
    const page = this.#page;
    const outcome = this.client.publish({ action: "say", text }, { id: text }).then(
      () => assert.ok(this.setup.gateway.publications.includes(text), `${text} is confirmed and not stored`),
      (error: unknown) => assert.ok(page !== this.#page || String(error).includes("might count twice"), String(error)),
    );
    this.published.push(outcome);
  }

  ask(docId: string): void {
    const outcome = this.client.request("progress", { docId }).then(
      (answer) => {
        assert.deepEqual(answer, { status: "progress", docId });
      },
      (error: unknown) => assert.match(String((error as { code?: unknown }).code), /^(TIMEOUT|CLOSED)$/),
    );
    this.published.push(outcome);
  }

  step(n: number): void {
    const { client } = this;
    const { gateway, chance } = this.setup;
    const [connection] = gateway.connections;
    const dice = chance.below(100);
    if (dice < 35) for (let count = chance.below(8); count >= 0; count--) gateway.store({ n });
    else if (dice < 45) connection?.end(chance.of([1001, 1006, 1011, 1013, 4001, 4002, 4003, 4005, 4007]));
    else if (dice < 50 && connection) connection.isSilent = true;
    else if (dice < 57) this.reload();
    else if (dice < 60) gateway.move();
    else if (dice < 62) gateway.recreate();
    else if (dice < 64) gateway.removed = Math.max(gateway.removed, chance.below(gateway.log.length + 1));
    else if (dice < 66) gateway.isUp = !gateway.isUp;
    else if (dice < 68) connection?.tell({ action: "draining", reconnect_in_ms: chance.below(5000) });
    else if (dice < 72) this.setup.awake();
    else if (dice < 80) this.say(`text-${String(n)}`);
    else if (dice < 88) this.ask(`doc-${String(n)}`);
    else {
      const topic = chance.of(["a", "b", "c", "forbidden"]);
      const end = this.topics.get(topic);
      this.topics.delete(topic);
      if (end) end();
      else this.topics.set(topic, client.subscribe(topic));
    }
  }

  /** Each message of the log once and in order, but for what a gap said. */
  check(): void {
    const { gateway } = this.setup;
    const ids = new Map(gateway.log.map(({ id }, index) => [id, index]));
    let next = 0;
    let mayMiss = false;
    for (const seen of this.seen) {
      if ("gap" in seen) {
        mayMiss = true;
        continue;
      }
      const index = ids.get(seen.id) ?? -1;
      assert.ok(index >= next, `${seen.id} came again`);
      assert.ok(index === next || mayMiss, `${String(index - next)} messages before ${seen.id} are missing`);
      mayMiss = false;
      next = index + 1;
    }
    assert.equal(next, gateway.log.length, "the last messages are missing");
  }
}

for (let seed = FIRST; seed < FIRST + RUNS; seed++) {
  test(`random faults, seed ${String(seed)}`, async () => {
    const run = new Run(seed);
    const { setup } = run;
    const { gateway, chance, world } = setup;
    await setup.until(() => run.client.state.name === "live");
    gateway.misfortune = chance.of([0, 0.5, 1]);
    for (let n = 0; n < STEPS; n++) {
      run.step(n);
      await world.advance(chance.of([0, 10, 100, 1000, 10_000, 60_000]));
    }
    gateway.misfortune = 0;
    gateway.isUp = true;
    await world.advance(300_000);
    gateway.store({ n: "last" });
    await setup.until(() => run.client.state.name === "live" && run.seen.some((seen) => "id" in seen && seen.id === gateway.log.at(-1)?.id));
    await world.advance(120_000);
    await Promise.all(run.published);
    run.check();
    const order = gateway.publications.map((text) => run.said.indexOf(text));
    assert.deepEqual(order, [...order].sort((one, other) => one - other), "publications are out of order");
    const wanted = [...run.topics.keys()].filter((topic) => topic !== "forbidden");
    for (const topic of wanted) assert.ok(gateway.topics.has(topic), `${topic} is not subscribed`);
  });
}
