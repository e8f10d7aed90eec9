/**
 * Notifications while no page is open: has the browser subscribe at its push service, and tells the gateway where that is.
 *
 * A subscription belongs to the browser, not to the user who was logged in when it was made. So what a former user has left is
 * ended at the push service before anything is registered for the next: what is still sent there reaches nobody.
 */

import { type Store, environmentOf } from "./environment.js";
import { TidingsError, claimsOf, textOf } from "./protocol.js";

export interface PushOptions {
  /** Where the gateway is, as for `createClient`. */
  readonly url: string;
  /** A token for the user, as for `createClient`. */
  readonly token: () => string | null | undefined | Promise<string | null | undefined>;
  /** The public key of the sender, as dispatchers log it: Base64 for URLs. */
  readonly key: string;
  /** The script of the service worker, which calls `showPushes`. */
  readonly worker: string;
  /** Whose browser this is, where that is not the token's `tenant` and `sub`; as for `createClient`. */
  readonly user?: string;
  /** The name of this device; as for `createClient`. */
  readonly device?: string;
  readonly store?: Store;
  /** What browsers have; others for tests. */
  readonly platform?: PushPlatform;
}

/** The part of a `PushSubscription` that is used. */
export interface Subscription {
  readonly endpoint: string;
  readonly options?: { readonly applicationServerKey?: ArrayBuffer | null };
  toJSON(): { readonly keys?: Readonly<Record<string, string>> };
  unsubscribe(): Promise<boolean>;
}

/** The part of a browser that is used. */
export interface PushPlatform {
  /** Asks the user, unless they have decided already: `granted`, `denied` or `default`. */
  requestPermission(): Promise<string>;
  /** Registers the service worker, and returns when it may receive pushes. */
  register(worker: string): Promise<PushManager>;
  fetch(
    url: string,
    options: {
      readonly method: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly body?: string;
      readonly credentials: "include";
    },
  ): Promise<{ readonly status: number; text(): Promise<string> }>;
}

/** The part of a `PushManager` that is used. */
export interface PushManager {
  getSubscription(): Promise<Subscription | null>;
  subscribe(options: { readonly userVisibleOnly: true; readonly applicationServerKey: string }): Promise<Subscription>;
}

interface Globals {
  readonly Notification?: { requestPermission(): Promise<string> };
  readonly navigator?: {
    readonly serviceWorker?: {
      register(worker: string): Promise<unknown>;
      readonly ready: Promise<{ readonly pushManager: PushManager }>;
    };
  };
  readonly location?: { readonly href: string };
  readonly URL: new (url: string, base?: string) => { protocol: string; pathname: string; search: string; readonly href: string };
  readonly fetch: PushPlatform["fetch"];
  btoa(text: string): string;
}

const globals = globalThis as unknown as Globals;

/** For whom the browser has subscribed. */
const OWNER = "tidings:push";
const DEVICE = "tidings:device";

const browser: PushPlatform = {
  requestPermission: () => globals.Notification?.requestPermission() ?? Promise.resolve("denied"),
  async register(worker) {
    const workers = globals.navigator?.serviceWorker;
    if (!workers) throw new TidingsError("UNSUPPORTED", "this browser has no service workers");
    await workers.register(worker);
    return (await workers.ready).pushManager;
  },
  fetch: (url, options) => globals.fetch(url, options),
};

/**
 * Registers this browser for the user of the token. Call it again at each start, and after each login: where everything is in
 * place, nothing but one request happens. The first time it asks the user, for which browsers want a click.
 *
 * Rejected with a `TidingsError`: `DENIED` if the user does not want it, `UNAUTHORIZED` if nobody is logged in, `UNSUPPORTED` where
 * browsers lack something, or the code of the gateway.
 */
export async function registerPush(options: PushOptions): Promise<void> {
  const { key, worker, platform = browser } = options;
  const who = await identify(options);
  if ((await platform.requestPermission()) !== "granted") throw new TidingsError("DENIED", "the user wants no notifications");
  const manager = await platform.register(worker);
  let subscription = await manager.getSubscription();
  if (subscription && !((await who.store.getItem(OWNER)) === who.user && isMadeWith(subscription, key))) {
    await subscription.unsubscribe();
    subscription = null;
  }
  // Only now: if this ends here, there is no subscription that could be taken for this user's.
  await who.store.setItem(OWNER, who.user);
  subscription ??= await manager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  const { endpoint } = subscription;
  const { p256dh = "", auth = "" } = subscription.toJSON().keys ?? {};
  await ask(options, who, "PUT", JSON.stringify({ endpoint, keys: { p256dh, auth } }));
}

/** Ends what `registerPush` has begun. Call it before the user logs out, while the token is still valid. */
export async function unregisterPush(options: PushOptions): Promise<void> {
  const { worker, platform = browser } = options;
  const manager = await platform.register(worker);
  await (await manager.getSubscription())?.unsubscribe();
  const who = await identify(options);
  await who.store.setItem(OWNER, "");
  await ask(options, who, "DELETE");
}

interface Identity {
  readonly store: Store;
  readonly token: string;
  readonly user: string;
  readonly device: string;
}

async function identify(options: PushOptions): Promise<Identity> {
  const { store, unique } = environmentOf(options.store ? { store: options.store } : {});
  const token = await options.token();
  if (!token) throw new TidingsError("UNAUTHORIZED", "nobody is logged in");
  const { tenant, sub } = claimsOf(token);
  let device = options.device ?? (await store.getItem(DEVICE));
  if (!device) {
    device = unique();
    await store.setItem(DEVICE, device);
  }
  return { store, token, user: options.user ?? `${textOf(tenant)}/${textOf(sub)}`, device };
}

/** Whether a subscription takes what this sender sends. */
function isMadeWith(subscription: Subscription, key: string): boolean {
  const made = subscription.options?.applicationServerKey;
  if (!made) return true;
  const text = globals.btoa(String.fromCharCode(...new Uint8Array(made)));
  return text.replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "") === key.replace(/=+$/, "");
}

async function ask(options: PushOptions, who: Identity, method: string, body?: string): Promise<void> {
  const { platform = browser } = options;
  const at = new globals.URL(options.url, globals.location?.href);
  at.protocol = at.protocol.replace("ws", "http");
  at.pathname = at.pathname.replace(/ws\/?$/, "push");
  at.search = "device=" + encodeURIComponent(who.device);
  const headers = { authorization: "Bearer " + who.token, "content-type": "application/json" };
  const answer = await platform.fetch(at.href, { method, headers, credentials: "include", ...(body === undefined ? {} : { body }) });
  if (answer.status < 300) return;
  const { code, detail } = readProblem(await answer.text());
  throw new TidingsError(code || "UNAVAILABLE", detail || `the gateway answers with ${String(answer.status)}`);
}

function readProblem(text: string): { readonly code?: string; readonly detail?: string } {
  try {
    return JSON.parse(text) as { code?: string };
  } catch {
    return {};
  }
}
