/**
 * In a real browser: one connection in StrictMode, one for five tabs, of which the one that leads is closed, and ten minutes
 * without a network.
 */

import assert from "node:assert/strict";

import { type Browser, type BrowserContext, type Page, chromium } from "playwright-core";

import { flags, serve } from "./served.js";

const { TIDINGS_URL: gateway = "", TIDINGS_TOKEN: token = "", TIDINGS_BROWSER: executablePath = "", TIDINGS_PAGE: script = "" } = process.env;

const { server, port } = await serve(script);

/** What a page shows and has received. */
const text = async (page: Page, id: string) => (await page.textContent(`#${id}`)) ?? "";
const titles = (page: Page) => page.evaluate(() => (window as unknown as { titles: string[] }).titles);
const publish = (page: Page, title: string) =>
  page.evaluate((title) => (window as unknown as { publish: (title: string) => Promise<string> }).publish(title), title);

async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 30_000;
  while (!(await holds())) {
    assert.ok(Date.now() < end, `it does not happen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function open(context: BrowserContext, more: string): Promise<{ page: Page; sockets: () => number }> {
  const page = await context.newPage();
  let sockets = 0;
  page.on("websocket", () => (sockets += 1));
  page.on("pageerror", (error) => {
    console.error(error);
  });
  const query = new URLSearchParams({ gateway, token });
  await page.goto(`http://127.0.0.1:${String(port)}/?${query.toString()}${more}`);
  await eventually("it is live", async () => (await text(page, "state")) === "live");
  return { page, sockets: () => sockets };
}

async function strict(browser: Browser): Promise<void> {
  const context = await browser.newContext();
  const { page, sockets } = await open(context, "");
  await publish(page, "hello");
  await eventually("the notification is shown", async () => (await text(page, "unread")) === "1");
  assert.deepEqual(await titles(page), ["hello"]);
  assert.equal(sockets(), 1, "StrictMode opens one connection");
  await page.click("#unread");
  await page.reload();
  await eventually("it is live again", async () => (await text(page, "state")) === "live");
  await publish(page, "again");
  await eventually("the notification is shown", async () => (await text(page, "unread")) === "1");
  assert.equal(await text(page, "kept"), "2", "what was kept is still there");
  assert.deepEqual(await titles(page), ["again"], "nothing comes twice");
  await context.close();
  console.log("StrictMode: one connection, each message once over a reload");
}

async function tabs(browser: Browser): Promise<void> {
  const context = await browser.newContext();
  const all: Awaited<ReturnType<typeof open>>[] = [];
  for (let n = 0; n < 5; n++) all.push(await open(context, "&tabs"));
  const count = () => all.reduce((sum, { sockets }) => sum + sockets(), 0);
  assert.equal(count(), 1, "five tabs have one connection");
  const leader = all.find(({ sockets }) => sockets() === 1);
  const others = all.filter((one) => one !== leader).map(({ page }) => page);
  const [first] = others;
  assert.ok(leader && first);
  const expected: string[] = [];
  const say = (n: number) => {
    expected.push(`n${String(n)}`);
    return publish(first, `n${String(n)}`);
  };
  for (let n = 0; n < 10; n++) await say(n);
  await eventually("all have all", async () => (await Promise.all(all.map(({ page }) => titles(page)))).every((had) => had.length === 10));
  const saying = (async () => {
    for (let n = 10; n < 40; n++) await say(n);
  })();
  await eventually("some have come", async () => (await titles(first)).length > 15);
  const closed = Date.now();
  await leader.page.close();
  await eventually("another leads", () => Promise.resolve(count() === 2));
  const taken = Date.now() - closed;
  await saying;
  for (const page of others) {
    await eventually("the last has come", async () => (await titles(page)).at(-1) === "n39");
    assert.deepEqual(await titles(page), expected, "nothing is lost, and nothing comes twice");
  }
  assert.equal(count(), 2, "one other tab has taken over");
  await context.close();
  console.log(`tabs: one connection for five; another led ${String(taken)} ms after the first was closed`);
}

/** Ten minutes offline by the browser's own network emulation, on a clock that goes ahead of the real one. */
async function offline(browser: Browser): Promise<void> {
  const [context, elsewhere] = [await browser.newContext(), await browser.newContext()];
  await context.clock.install();
  const { page, sockets } = await open(context, "");
  const { page: other } = await open(elsewhere, "");
  const expected = ["before"];
  await publish(other, "before");
  await eventually("what comes before is shown", async () => (await titles(page)).length === 1);
  await context.setOffline(true);
  for (let minute = 0; minute < 10; minute++) {
    await page.clock.fastForward("01:00");
    for (const half of ["a", "b"]) {
      expected.push(`m${String(minute)}${half}`);
      await publish(other, expected.at(-1) ?? "");
    }
  }
  await eventually("it is noticed", async () => (await text(page, "state")) === "waiting");
  assert.deepEqual(await titles(page), ["before"], "nothing comes while offline");
  await context.setOffline(false);
  await eventually("all that was missed is there", async () => (await titles(page)).length >= expected.length);
  await eventually("it is live again", async () => (await text(page, "state")) === "live");
  await publish(other, "after");
  expected.push("after");
  await eventually("the last has come", async () => (await titles(page)).at(-1) === "after");
  assert.deepEqual(await titles(page), expected, "exactly what was missed, in order");
  assert.ok(sockets() > 1);
  await Promise.all([context.close(), elsewhere.close()]);
  console.log(`offline: ${String(expected.length)} messages, each once`);
}

const browser = await chromium.launch({ executablePath, headless: true, args: flags });
try {
  await strict(browser);
  await tabs(browser);
  await offline(browser);
} finally {
  await browser.close();
  server.close();
}
console.log("browser: done");
