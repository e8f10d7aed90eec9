/**
 * A page in a real browser whose gateway is killed again and again by the test that runs this. It prints a JSON object per line:
 * the title of each message that the page has handled, and whether the page is live. SIGTERM ends it.
 */

import { writeSync } from "node:fs";

import { chromium } from "playwright-core";

import { flags, serve } from "./served.js";

const { TIDINGS_URL: gateway = "", TIDINGS_TOKEN: token = "", TIDINGS_BROWSER: executablePath = "", TIDINGS_PAGE: script = "" } = process.env;

const print = (what: unknown) => {
  writeSync(1, JSON.stringify(what) + "\n");
};

const { server, port } = await serve(script);
const browser = await chromium.launch({ executablePath, headless: true, args: flags });
const over = new AbortController();
process.on("SIGTERM", () => {
  over.abort();
});
const page = await browser.newPage();
page.on("pageerror", (error) => {
  print({ error: String(error) });
});
let sockets = 0;
page.on("websocket", () => (sockets += 1));
await page.goto(`http://127.0.0.1:${String(port)}/?${new URLSearchParams({ gateway, token }).toString()}`);

let printed = 0;
let state = "";
while (!over.signal.aborted) {
  const now = (await page.textContent("#state")) ?? "";
  if (now !== state) print({ state: (state = now) });
  const titles = await page.evaluate((from) => (window as unknown as { titles: string[] }).titles.slice(from), printed);
  for (const title of titles) print({ title });
  printed += titles.length;
  await new Promise((resolve) => setTimeout(resolve, 20));
}
print({ sockets });
await browser.close();
server.close();
