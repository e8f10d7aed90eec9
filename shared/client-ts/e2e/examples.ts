/** The five pages that `tidings dev` serves, in a real browser: each button is pressed, and what must arrive arrives. */

import assert from "node:assert/strict";

import { type BrowserContext, type Page, chromium } from "playwright-core";

const { TIDINGS_EXAMPLES: address = "", TIDINGS_BROWSER: executablePath = "", TIDINGS_SHOTS: shots = "" } = process.env;
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const BOUND = 30_000;

/** What no page may do. */
const faults: string[] = [];

async function open(context: BrowserContext, name: string): Promise<Page> {
  const page = await context.newPage();
  page.setDefaultTimeout(BOUND);
  page.on("pageerror", (error) => faults.push(`${name}: ${String(error)}`));
  page.on("console", (message) => {
    // Refusals are shown on the page, and browsers write each to the console, too.
    if (message.type() === "error" && !message.text().includes("status of 400")) faults.push(`${name}: ${message.text()}`);
  });
  await page.goto(`${address}${name}/`);
  await page.waitForSelector('#state[data-state="live"]');
  return page;
}

const press = (page: Page, label: string) => page.getByRole("button", { name: label, exact: true }).click();
const toast = (page: Page, title: string) => page.locator(".toast strong", { hasText: title }).first().waitFor();
const unread = (page: Page, count: number) => page.waitForSelector(`#unread[data-unread="${String(count)}"]`);
const note = (page: Page, panel: string) => page.locator(`#${panel} .note`).textContent();

/** Looks at a page in each width and theme: nothing lies outside, and everything that is pressed has a name. */
async function look(page: Page, name: string): Promise<void> {
  for (const [width, scheme] of [[1280, "light"], [390, "dark"]] as const) {
    await page.setViewportSize({ width, height: width === 390 ? 844 : 900 });
    await page.emulateMedia({ colorScheme: scheme });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${name} is ${String(wide)} pixels wider than a screen of ${String(width)}`);
    if (shots) await page.screenshot({ path: `${shots}/${name}-${String(width)}.png` });
  }
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.emulateMedia({ colorScheme: "light" });
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll("button, a, select, progress")]
      .filter((one) => !(one.getAttribute("aria-label") ?? (one.closest("label") ?? one).textContent).trim())
      .map((one) => one.outerHTML),
  );
  assert.deepEqual(nameless, [], `${name} has controls without a name`);
}

async function ops(context: BrowserContext): Promise<void> {
  const page = await open(context, "ops");
  await press(page, "Critical incident");
  await toast(page, "Incident created");
  await unread(page, 1);
  await page.locator("#infra .badge.critical").first().waitFor();
  await page.locator('#inbox .error a[href="#/infra?tab=incidents"]').first().waitFor();
  const before = await page.locator(".toast").count();
  await press(page, "Metric");
  await page.locator("#sla .figure").waitFor();
  assert.equal(await page.locator(".toast strong", { hasText: "etric" }).count(), 0, "metrics raise no toast");
  assert.ok(before >= 1);
  await press(page, "Alert");
  await toast(page, "Alert");
  await unread(page, 2);
  await press(page, "Notice to myself");
  await unread(page, 3);
  await page.locator('#inbox a[href="#/infra?tab=tasks"]').first().click();
  await page.locator('#infra a[aria-current="page"]', { hasText: "Tasks" }).waitFor();
  await look(page, "ops");

  // Offline and back, in one of two tabs that share a connection.
  const other = await open(context, "ops");
  await press(page, "Go offline");
  await page.waitForSelector('#state[data-state="closed"]');
  await press(other, "Task");
  await unread(other, 4);
  await press(page, "Go online");
  await page.waitForSelector('#state[data-state="live"]');
  await press(page, "Asset");
  await toast(other, "Asset created");
  await unread(page, 4);
  await page.reload();
  await page.waitForSelector('#state[data-state="live"]');
  await unread(page, 4);
  await press(page, "Mark all read");
  await unread(other, 0);
  await other.close();

  // Alone, what was missed comes when the page is online again.
  await press(page, "Go offline");
  await page.waitForSelector('#state[data-state="closed"]');
  await press(page, "Incident");
  await press(page, "Go online");
  await unread(page, 1);
  await page.close();
}

async function cnc(context: BrowserContext): Promise<void> {
  const page = await open(context, "cnc");
  const lists = ["volunteers", "assignments", "periods", "units", "incidents"];
  for (const list of lists) await page.locator(`#${list} .note`, { hasText: "fetched 1 time" }).waitFor();
  await press(page, "Change volunteers");
  await page.locator("#volunteers .note", { hasText: "fetched 2 times" }).waitFor();
  await page.locator("#volunteers .rows li").first().waitFor();
  await press(page, "Change units");
  await page.locator("#units .note", { hasText: "fetched 2 times" }).waitFor();
  for (const list of ["assignments", "periods", "incidents"]) {
    assert.equal(await note(page, list), "fetched 1 time", `${list} did not change`);
  }
  await look(page, "cnc");
  await page.close();
}

async function documents(context: BrowserContext): Promise<void> {
  const page = await open(context, "documents");
  await press(page, "Process a document");
  await press(page, "Process one that fails");
  await page.waitForSelector('[data-status="progress"]');
  await page.waitForSelector('[data-status="processing_complete"]');
  await page.waitForSelector('[data-status="error"]');
  await toast(page, "Document processed");
  await toast(page, "Processing failed");
  await look(page, "documents");
  // What has been received is asked for.
  await page.reload();
  await page.waitForSelector('[data-status="processing_complete"]');
  await page.waitForSelector('[data-status="error"]');
  await page.close();
}

async function shelter(context: BrowserContext): Promise<void> {
  const page = await open(context, "shelter");
  await press(page, "Shelter update");
  await page.waitForSelector("[data-shelter]");
  await press(page, "Alert");
  await toast(page, "Alert: Water");
  await page.locator("#feed .warning", { hasText: "Alert: Water" }).first().waitFor();
  await look(page, "shelter");
  const choose = async (person: string) => {
    await page.getByRole("combobox", { name: "You are" }).selectOption(person);
    await page.waitForSelector('#state[data-state="live"]');
  };
  await choose("coordinator");
  await press(page, "Broadcast to all");
  await toast(page, "Road closed");
  await choose("operator");
  await press(page, "Update my shelter");
  await page.waitForSelector('[data-shelter="s1"]');
  await press(page, "Update another (refused)");
  await toast(page, "Not published");
  assert.equal(await page.locator("[data-shelter]").count(), 1, "an operator sees their own shelter");
  await page.close();
}

async function uploads(context: BrowserContext): Promise<void> {
  const page = await open(context, "uploads");
  await press(page, "Upload a parts list");
  await page.waitForSelector('[data-progress="100"]');
  await toast(page, "Upload complete");
  await unread(page, 1);
  await press(page, "Upload one that fails");
  await toast(page, "CSV_INVALID");
  await toast(page, "Upload failed");
  await unread(page, 2);
  await look(page, "uploads");
  await page.locator("#inbox a", { hasText: "View MOC" }).click();
  await page.locator("#route code", { hasText: "/mocs/up-" }).waitFor();
  await page.close();
}

const browser = await chromium.launch({ executablePath, headless: true, args: flags });
try {
  const context = await browser.newContext();
  const overview = await context.newPage();
  await overview.goto(address);
  assert.equal(await overview.locator(".cards a").count(), 5);
  await look(overview, "overview");
  await overview.close();
  // At once, each with a tenant of its own.
  await Promise.all([ops, cnc, documents, shelter, uploads].map((page) => page(context)));
  assert.deepEqual(faults, []);
} finally {
  await browser.close();
}
console.log("examples: done");
