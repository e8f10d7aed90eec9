/**
 * What a client needs of the world, and where browsers, Node and React Native have it. Nothing is touched before a client is
 * opened, so a page can be rendered on a server.
 */

/** The part of a `WebSocket` that is used. */
export interface Socket {
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

/** Keeps a device's name and position over reloads: `localStorage`, React Native's AsyncStorage, a file. */
export interface Store {
  getItem(name: string): string | null | Promise<string | null>;
  setItem(name: string, value: string): unknown;
}

export interface Environment {
  readonly connect: (url: string, protocols: string[]) => Socket;
  readonly now: () => number;
  /** A number from 0 up to 1. */
  readonly random: () => number;
  /** A name that nobody else has. */
  readonly unique: () => string;
  readonly setTimeout: (run: () => void, after: number) => unknown;
  readonly clearTimeout: (timer: unknown) => void;
  readonly store: Store;
  /** Calls back when the network returns or the page or device awakes, until it is ended. */
  readonly onAwake: (listener: () => void) => () => void;
}

/** What there may be, depending on where this runs. */
interface Globals {
  addEventListener?(name: string, listener: () => void): void;
  removeEventListener?(name: string, listener: () => void): void;
  readonly WebSocket?: new (url: string, protocols: string[]) => Socket;
  readonly crypto?: { randomUUID?: () => string };
  readonly document?: { readonly visibilityState: string };
  readonly localStorage?: Store;
  readonly location?: { readonly href: string };
  readonly URL: new (url: string, base?: string) => { readonly href: string };
  readonly setTimeout: (run: () => void, after: number) => unknown;
  readonly clearTimeout: (timer: unknown) => void;
}

const globals = globalThis as unknown as Globals;

/** A store that lasts as long as this program. */
export function memoryStore(): Store {
  const items = new Map<string, string>();
  return { getItem: (name) => items.get(name) ?? null, setItem: (name, value) => items.set(name, value) };
}

/** `localStorage`, where it may be used. */
function localStore(): Store {
  try {
    return globals.localStorage ?? memoryStore();
  } catch {
    return memoryStore();
  }
}

/** Opens a WebSocket. */
export function connect(url: string, protocols: string[]): Socket {
  const { WebSocket, location } = globals;
  if (!WebSocket) throw new Error("no WebSocket here; give `connect`");
  const absolute = url.startsWith("/") ? new globals.URL(url, location?.href).href.replace(/^http/, "ws") : url;
  return new WebSocket(absolute, protocols);
}

/** Browsers have `randomUUID` only on pages that came by https or from this machine. */
const unique = (): string => globals.crypto?.randomUUID?.() ?? String(Date.now()) + String(Math.random()).slice(1);

function onAwake(listener: () => void): () => void {
  const onVisible = () => {
    if (globals.document?.visibilityState === "visible") listener();
  };
  globals.addEventListener?.("online", listener);
  globals.addEventListener?.("visibilitychange", onVisible);
  return () => {
    globals.removeEventListener?.("online", listener);
    globals.removeEventListener?.("visibilitychange", onVisible);
  };
}

/** What is not given is taken from where this runs. */
export const environmentOf = (given: Partial<Environment>): Environment => ({
  connect,
  now: Date.now,
  random: Math.random,
  unique,
  setTimeout: (run, after) => globals.setTimeout(run, after),
  clearTimeout: (timer) => {
    globals.clearTimeout(timer);
  },
  store: given.store ?? localStore(),
  onAwake,
  ...given,
});
