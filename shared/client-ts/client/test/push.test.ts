/** A browser that subscribes to notifications, for one user after the other; and the worker that shows them. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { memoryStore } from "../src/index.js";
import { type PushOptions, type Subscription, registerPush, unregisterPush } from "../src/push.js";
import { type WorkerScope, showPushes } from "../src/worker.js";
import { token } from "./setup.js";

/** "key" in Base64 for URLs. */
const KEY = "a2V5";

interface Asked {
  readonly method: string;
  readonly url: string;
  readonly authorization: string;
  readonly body: unknown;
}

/** A browser with its push service, and a gateway. */
class Browser {
  permission = "granted";
  subscription: Subscription | null = null;
  status = 204;
  /** Endpoints that the push service has ended. */
  readonly ended: string[] = [];
  readonly asked: Asked[] = [];
  readonly store = memoryStore();
  #made = 0;

  options(sub: string, more: Partial<PushOptions> = {}): PushOptions {
    return {
      url: "wss://gateway/api/ws",
      token: () => token({ tenant: "ops", sub }),
      key: KEY,
      worker: "/worker.js",
      store: this.store,
      device: "laptop",
      platform: {
        requestPermission: () => Promise.resolve(this.permission),
        register: (worker) => {
          assert.equal(worker, "/worker.js");
          return Promise.resolve({
            getSubscription: () => Promise.resolve(this.subscription),
            subscribe: ({ userVisibleOnly, applicationServerKey }) => {
              assert.equal(userVisibleOnly, true);
              this.#made += 1;
              const endpoint = `https://push/${String(this.#made)}`;
              const made = Uint8Array.from(Buffer.from(applicationServerKey, "base64url")).buffer;
              this.subscription = {
                endpoint,
                options: { applicationServerKey: made },
                toJSON: () => ({ keys: { p256dh: "p", auth: "a" } }),
                unsubscribe: () => {
                  this.ended.push(endpoint);
                  this.subscription = null;
                  return Promise.resolve(true);
                },
              };
              return Promise.resolve(this.subscription);
            },
          });
        },
        fetch: (url, { method, headers, body }) => {
          const { authorization = "" } = headers;
          this.asked.push({ method, url, authorization, body: body && JSON.parse(body) });
          const problem = JSON.stringify({ code: "CONTACTS_OFF", detail: "no key" });
          return Promise.resolve({ status: this.status, text: () => Promise.resolve(this.status < 300 ? "" : problem) });
        },
      },
      ...more,
    };
  }

  /** The endpoint that was registered last. */
  get registered(): unknown {
    return (this.asked.at(-1)?.body as { endpoint?: string } | undefined)?.endpoint;
  }
}

test("a browser is registered for its user, and nothing is made twice", async () => {
  const browser = new Browser();
  await registerPush(browser.options("ada"));
  assert.deepEqual(browser.asked, [
    {
      method: "PUT",
      url: "https://gateway/api/push?device=laptop",
      authorization: "Bearer " + token({ tenant: "ops", sub: "ada" }),
      body: { endpoint: "https://push/1", keys: { p256dh: "p", auth: "a" } },
    },
  ]);
  await registerPush(browser.options("ada"));
  assert.deepEqual([browser.registered, browser.ended], ["https://push/1", []]);
});

test("what a former user has left is ended before the next is registered", async () => {
  const browser = new Browser();
  await registerPush(browser.options("ada"));
  await registerPush(browser.options("bob"));
  assert.deepEqual([browser.registered, browser.ended], ["https://push/2", ["https://push/1"]]);
  // Whose it is is unknown, as after the page's data was cleared; or it is that of another sender.
  browser.store.setItem("tidings:push", "");
  await registerPush(browser.options("bob"));
  assert.deepEqual([browser.registered, browser.ended.length], ["https://push/3", 2]);
  await registerPush(browser.options("bob", { key: "bmV3" }));
  assert.deepEqual([browser.registered, browser.ended.length], ["https://push/4", 3]);
});

test("a page that ends in the middle leaves nothing that could be taken for the next user's", async () => {
  const browser = new Browser();
  await registerPush(browser.options("ada"));
  for (const failing of ["getItem", "setItem"] as const) {
    const store = { ...browser.store, [failing]: () => Promise.reject(new Error("the page has ended")) };
    await assert.rejects(registerPush(browser.options("bob", { store })));
    if (browser.subscription) assert.equal(await browser.store.getItem("tidings:push"), "ops/ada");
  }
  await registerPush(browser.options("bob"));
  assert.deepEqual([browser.registered, browser.ended], ["https://push/2", ["https://push/1"]]);
});

test("a user who logs out is forgotten here and at the gateway", async () => {
  const browser = new Browser();
  await registerPush(browser.options("ada"));
  await unregisterPush(browser.options("ada"));
  assert.deepEqual([browser.subscription, browser.ended], [null, ["https://push/1"]]);
  const last = browser.asked.at(-1);
  assert.deepEqual([last?.method, last?.url, last?.body], ["DELETE", "https://gateway/api/push?device=laptop", undefined]);
});

test("a refusal has a code", async () => {
  const browser = new Browser();
  const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;
  await assert.rejects(registerPush(browser.options("ada", { token: () => null })), code("UNAUTHORIZED"));
  browser.permission = "denied";
  await assert.rejects(registerPush(browser.options("ada")), code("DENIED"));
  assert.deepEqual([browser.subscription, browser.asked], [null, []]);
  browser.permission = "granted";
  browser.status = 501;
  await assert.rejects(registerPush(browser.options("ada")), code("CONTACTS_OFF"));
});

interface Shown {
  readonly title: string;
  readonly options: Readonly<Record<string, unknown>>;
}

/** A service worker's surroundings. */
class Worker {
  readonly shown: Shown[] = [];
  readonly opened: string[] = [];
  pages: { url: string; focus(): Promise<unknown> }[] = [];
  /** Whether the browser refuses options that it does not know. */
  isStrict = false;
  readonly #listeners = new Map<string, (event: never) => void>();

  constructor() {
    const scope: WorkerScope = {
      addEventListener: (name: string, listener: (event: never) => void) => {
        this.#listeners.set(name, listener);
      },
      registration: {
        scope: "https://app/",
        showNotification: (title, options) => {
          if (this.isStrict && "image" in options) return Promise.reject(new TypeError("no images"));
          this.shown.push({ title, options });
          return Promise.resolve();
        },
      },
      clients: {
        matchAll: () => Promise.resolve(this.pages),
        openWindow: (url) => Promise.resolve(this.opened.push(url)),
      },
    };
    showPushes({ title: "News", defaults: { icon: "/icon.png" } }, scope);
  }

  async event(name: string, event: object): Promise<void> {
    const waiting: Promise<unknown>[] = [];
    this.#listeners.get(name)?.({ ...event, waitUntil: (promise: Promise<unknown>) => waiting.push(promise) } as never);
    assert.equal(waiting.length, 1, "the browser waits for it");
    await Promise.all(waiting);
  }

  async push(text: string | null): Promise<Shown | undefined> {
    await this.event("push", { data: text === null ? null : { text: () => text } });
    return this.shown.at(-1);
  }
}

test("each push is shown, whatever is in it", async () => {
  const worker = new Worker();
  const icon = "/icon.png";
  const full = JSON.stringify({ title: "Fire", body: "Leave", tag: "a", url: "/alerts", icon: "/fire.png", more: 1 });
  const rows: [string | null, Shown][] = [
    [full, { title: "Fire", options: { icon: "/fire.png", body: "Leave", tag: "a", data: "/alerts" } }],
    ['{"subject":"Fire","text":"Leave"}', { title: "Fire", options: { icon, body: "Leave", data: "" } }],
    ['{"title":{"no":"text"},"body":null}', { title: "News", options: { icon, data: "" } }],
    ["7", { title: "News", options: { icon, body: "7", data: "" } }],
    ["null", { title: "News", options: { icon, body: "null", data: "" } }],
    ["no JSON", { title: "News", options: { icon, body: "no JSON", data: "" } }],
    ["", { title: "News", options: { icon, data: "" } }],
    [null, { title: "News", options: { icon, data: "" } }],
  ];
  for (const [text, expected] of rows) assert.deepEqual(await worker.push(text), expected, String(text));
  worker.isStrict = true;
  assert.deepEqual(await worker.push('{"title":"Fire","image":"x"}'), { title: "News", options: { icon } });
  assert.equal(worker.shown.length, rows.length + 1);
  const thrown = worker.event("push", { data: { text: () => { throw new Error("not readable"); } } });
  await thrown;
  assert.equal(worker.shown.length, rows.length + 2);
});

test("a click opens the page of the notification, and no page of others", async () => {
  const worker = new Worker();
  let closed = 0;
  const click = (data: unknown) => worker.event("notificationclick", { notification: { close: () => (closed += 1), data } });
  for (const data of ["/alerts", "", undefined, "https://evil.example/", "javascript:alert(1)"]) await click(data);
  assert.deepEqual(worker.opened, ["https://app/alerts", ...Array<string>(4).fill("https://app/")]);
  let focused = 0;
  worker.pages = [{ url: "https://app/alerts", focus: () => Promise.resolve((focused += 1)) }];
  await click("/alerts");
  assert.deepEqual([closed, focused, worker.opened.length], [6, 1, 5]);
});
