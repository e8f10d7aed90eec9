/**
 * For the script of a service worker: shows a notification for each push, whatever is in it. A browser that receives a push and
 * shows nothing shows a text of its own, and in the end takes the permission away.
 */

/** How notifications look. */
export interface Notifications {
  /** The title where a push has none, or cannot be read. */
  readonly title: string;
  /** More for every notification, such as `icon` and `badge`. */
  readonly defaults?: Readonly<Record<string, unknown>>;
}

interface Extendable {
  waitUntil(promise: Promise<unknown>): void;
}

interface Push extends Extendable {
  readonly data: { text(): string } | null;
}

interface Click extends Extendable {
  readonly notification: { close(): void; readonly data?: unknown };
}

interface Page {
  readonly url: string;
  focus(): Promise<unknown>;
}

/** The part of a service worker's `self` that is used. */
export interface WorkerScope {
  addEventListener(name: "push", listener: (event: Push) => void): void;
  addEventListener(name: "notificationclick", listener: (event: Click) => void): void;
  readonly registration: {
    readonly scope: string;
    showNotification(title: string, options: Readonly<Record<string, unknown>>): Promise<void>;
  };
  readonly clients: {
    matchAll(options: { readonly type: "window"; readonly includeUncontrolled: true }): Promise<readonly Page[]>;
    openWindow(url: string): Promise<unknown>;
  };
}

/** What a notification takes from the JSON of a push besides `title`. */
const SHOWN = ["body", "icon", "badge", "image", "tag", "lang", "dir", "renotify", "requireInteraction", "silent", "timestamp"];

/** Shows a notification for each push, and opens its page when it is clicked. */
export function showPushes(look: Notifications, scope: WorkerScope = globalThis as unknown as WorkerScope): void {
  scope.addEventListener("push", (event) => {
    event.waitUntil(show(scope, look, event));
  });
  scope.addEventListener("notificationclick", (event) => {
    event.notification.close();
    event.waitUntil(open(scope, event.notification.data));
  });
}

async function show(scope: WorkerScope, look: Notifications, event: Push): Promise<void> {
  const plain = { ...look.defaults };
  try {
    const { title, url, options } = read(event.data?.text() ?? "");
    await scope.registration.showNotification(title || look.title, { ...plain, ...options, data: url });
  } catch {
    // A browser may refuse some of it.
    await scope.registration.showNotification(look.title, plain);
  }
}

/** What a push says: JSON with `title`, `url` and options of notifications; any other text is the body. */
function read(text: string): { title: string; url: string; options: Record<string, unknown> } {
  let members: Record<string, unknown> = {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) members = value as Record<string, unknown>;
    else members = { body: String(value) };
  } catch {
    if (text) members = { body: text };
  }
  const textOf = (name: string) => (typeof members[name] === "string" ? members[name] : "");
  const options: Record<string, unknown> = {};
  for (const name of SHOWN) if (members[name] !== undefined && members[name] !== null) options[name] = members[name];
  const body = textOf("body") || textOf("text") || textOf("message");
  if (body) options["body"] = body;
  return { title: textOf("title") || textOf("subject"), url: textOf("url"), options };
}

/** Shows the page of a notification: one that is open already, or a new one. Only pages of this worker. */
async function open(scope: WorkerScope, url: unknown): Promise<void> {
  const { scope: base } = scope.registration;
  const wanted = new (globalThis as unknown as { URL: new (url: string, base: string) => { readonly href: string } }).URL(
    typeof url === "string" ? url : "",
    base,
  ).href;
  const target = wanted.startsWith(base) ? wanted : base;
  const pages = await scope.clients.matchAll({ type: "window", includeUncontrolled: true });
  const page = pages.find((page) => page.url === target);
  await (page ? page.focus() : scope.clients.openWindow(target));
}
