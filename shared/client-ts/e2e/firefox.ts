/**
 * In Firefox: one connection in StrictMode; one for five tabs, of which the one that leads is closed; and behind a proxy that
 * passes no WebSocket, which is this program's own server. Spoken to in WebDriver BiDi itself, of which playwright-core wants
 * commands that Debian's Firefox ESR does not have yet.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type IncomingMessage, type ServerResponse, request as ask } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

import WebSocket from "ws";

import { serve } from "./served.js";

const { TIDINGS_URL: gateway = "", TIDINGS_TOKEN: token = "", TIDINGS_BROWSER: program = "", TIDINGS_PAGE: script = "" } = process.env;
const BOUND = 60_000;

/** Passes a request on to the gateway, as a proxy between it and the page. */
function pass(request: IncomingMessage, response: ServerResponse): void {
  const { method, headers } = request;
  const asked = ask(new URL(request.url ?? "/", gateway.replace("ws", "http")), { method, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    response.flushHeaders();
    answer.pipe(response);
  });
  asked.on("error", () => response.destroy());
  response.on("close", () => asked.destroy());
  request.pipe(asked);
}

let refused = 0;
const { server, port } = await serve(script, pass);
server.on("upgrade", (_request, socket) => {
  refused += 1;
  socket.end("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
});

async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + BOUND;
  while (!(await holds())) {
    assert.ok(Date.now() < end, `it does not happen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A profile that calls nobody. */
const profile = mkdtempSync(join(tmpdir(), "tidings-firefox-"));
const settings = {
  "app.update.enabled": false,
  "app.normandy.enabled": false,
  "browser.safebrowsing.malware.enabled": false,
  "browser.safebrowsing.phishing.enabled": false,
  "browser.shell.checkDefaultBrowser": false,
  "browser.startup.homepage_override.mstone": "ignore",
  "datareporting.policy.dataSubmissionEnabled": false,
  "extensions.update.enabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "toolkit.telemetry.enabled": false,
};
const lines = Object.entries(settings).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`);
writeFileSync(join(profile, "user.js"), lines.join(""));

const firefox = spawn(program, ["--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0"], {
  stdio: ["ignore", "ignore", "pipe"],
  env: { ...process.env, HOME: profile, MOZ_HEADLESS: "1" },
});
let said = "";
firefox.stderr.on("data", (data: Buffer) => (said += data.toString()));

interface Answer {
  readonly id?: number;
  readonly type: string;
  readonly result?: unknown;
  readonly error?: string;
  readonly message?: string;
}

/** WebDriver BiDi, as far as it is needed. */
class Session {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #id = 0;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data: Buffer) => {
      const answer = JSON.parse(data.toString()) as Answer;
      if (answer.id !== undefined) this.#waiting.get(answer.id)?.(answer);
    });
  }

  static async open(): Promise<Session> {
    const found = () => /WebDriver BiDi listening on (ws:\S+)/.exec(said)?.[1];
    await eventually("Firefox listens", () => Promise.resolve(found() !== undefined));
    const socket = new WebSocket(`${found() ?? ""}/session`);
    await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
    const session = new Session(socket);
    await session.ask("session.new", { capabilities: {} });
    return session;
  }

  async ask(method: string, params: object): Promise<unknown> {
    const id = ++this.#id;
    const answered = new Promise<Answer>((resolve) => this.#waiting.set(id, resolve));
    this.#socket.send(JSON.stringify({ id, method, params }));
    const answer = await answered;
    this.#waiting.delete(id);
    assert.equal(answer.type, "success", `${method}: ${answer.error ?? ""} ${answer.message ?? ""}`);
    return answer.result;
  }
}

class Tab {
  readonly #session: Session;
  readonly #context: string;

  private constructor(session: Session, context: string) {
    this.#session = session;
    this.#context = context;
  }

  static async open(session: Session, more: string, at = gateway): Promise<Tab> {
    const { context } = (await session.ask("browsingContext.create", { type: "tab" })) as { context: string };
    const url = `http://127.0.0.1:${String(port)}/?${new URLSearchParams({ gateway: at, token }).toString()}${more}`;
    await session.ask("browsingContext.navigate", { context, url, wait: "complete" });
    const tab = new Tab(session, context);
    await tab.isLive();
    return tab;
  }

  /** The value of an expression in the page. */
  async value<Value>(expression: string): Promise<Value> {
    const target = { context: this.#context };
    const wrapped = `Promise.resolve(${expression}).then((value) => JSON.stringify(value ?? null))`;
    const answer = await this.#session.ask("script.evaluate", { expression: wrapped, target, awaitPromise: true });
    const { result } = answer as { result?: { value: string } };
    assert.ok(result, `${expression}: ${JSON.stringify(answer)}`);
    return JSON.parse(result.value) as Value;
  }

  isLive = () => eventually("it is live", async () => (await this.value('document.querySelector("#state")?.textContent')) === "live");
  titles = () => this.value<string[]>("window.titles");
  sockets = () => this.value<number>("window.sockets ?? 0");
  publish = (title: string) => this.value(`window.publish(${JSON.stringify(title)})`);

  async reload(): Promise<void> {
    await this.#session.ask("browsingContext.reload", { context: this.#context, wait: "complete" });
    await this.isLive();
  }

  close = () => this.#session.ask("browsingContext.close", { context: this.#context });
}

async function strict(session: Session): Promise<void> {
  const tab = await Tab.open(session, "");
  await tab.publish("hello");
  await eventually("the message is there", async () => (await tab.titles()).length > 0);
  assert.equal(await tab.sockets(), 1, "StrictMode opens one connection");
  await tab.reload();
  await tab.publish("again");
  await eventually("the message is there", async () => (await tab.titles()).length > 0);
  assert.deepEqual(await tab.titles(), ["again"], "nothing comes twice");
  await tab.close();
}

async function tabs(session: Session): Promise<void> {
  const all: Tab[] = [];
  for (let n = 0; n < 5; n++) all.push(await Tab.open(session, "&tabs"));
  const counts = () => Promise.all(all.map((tab) => tab.sockets()));
  assert.deepEqual((await counts()).sort(), [0, 0, 0, 0, 1], "five tabs have one connection");
  const [leader] = all.splice((await counts()).indexOf(1), 1);
  const [first] = all;
  assert.ok(leader && first);
  const expected = Array.from({ length: 30 }, (_, n) => `n${String(n)}`);
  for (const title of expected.slice(0, 10)) await first.publish(title);
  const saying = (async () => {
    for (const title of expected.slice(10)) await first.publish(title);
  })();
  await eventually("some have come", async () => (await first.titles()).length > 12);
  await leader.close();
  await saying;
  for (const tab of all) {
    await eventually("the last has come", async () => (await tab.titles()).at(-1) === "n29");
    assert.deepEqual(await tab.titles(), expected, "nothing is lost, and nothing comes twice");
  }
  assert.deepEqual((await counts()).sort(), [0, 0, 0, 1], "one other tab has taken over");
}

/** In a network that passes no WebSocket: everything arrives by HTTP, once, over a reload as well. */
async function blocked(session: Session): Promise<void> {
  const began = Date.now();
  const tab = await Tab.open(session, "&http", `ws://127.0.0.1:${String(port)}/api/ws`);
  console.log(`blocked: live by HTTP ${String(Date.now() - began)} ms after the page was asked for`);
  assert.ok(refused > 0 && (await tab.sockets()) > 0, "a WebSocket was tried");
  const other = await Tab.open(session, "");
  const expected = Array.from({ length: 30 }, (_, n) => `h${String(n)}`);
  for (const title of expected.slice(0, 10)) await other.publish(title);
  for (const title of expected.slice(10, 20)) await tab.publish(title);
  await eventually("they have come", async () => (await tab.titles()).length >= 20);
  const before = await tab.titles();
  const during = (async () => {
    for (const title of expected.slice(20, 29)) await other.publish(title);
  })();
  await tab.reload();
  await during;
  await other.publish("h29");
  await eventually("the last has come", async () => (await tab.titles()).at(-1) === "h29");
  // What came between the look at it and the reload was handled, and comes no more.
  const after = await tab.titles();
  assert.deepEqual([...before, ...expected.slice(20, 30 - after.length), ...after], expected, "each once, in order");
  await Promise.all([tab.close(), other.close()]);
}

try {
  const session = await Session.open();
  const count = "() => { const Real = WebSocket; window.WebSocket = class extends Real { constructor(...all) { super(...all); window.sockets = (window.sockets ?? 0) + 1; } }; }";
  await session.ask("script.addPreloadScript", { functionDeclaration: count });
  await strict(session);
  await tabs(session);
  await blocked(session);
} finally {
  const ended = new Promise((resolve) => firefox.once("exit", resolve));
  firefox.kill("SIGKILL");
  await ended;
  rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  server.close();
}
console.log("firefox: done");
process.exit(0);
