/**
 * For networks without WebSockets: events over HTTP, and a request for each message to the gateway.
 *
 * Both are behind what looks like a WebSocket, so the client is the same: it keeps the place of what was handled, and each
 * connection begins behind it, whichever kind it is. So nothing is lost or doubled at a switch.
 */

import { type Environment, type Socket, connect as connectWebSocket } from "./environment.js";
import { membersOf, textOf } from "./protocol.js";

/** The part of `fetch` that is used. */
export type Fetch = (
  url: string,
  options: {
    readonly method?: string;
    readonly body?: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly credentials: "include";
    readonly cache: "no-store";
    readonly signal: unknown;
  },
) => Promise<{
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: { getReader(): { read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }> } } | null;
}>;

export interface HttpOptions {
  /** Milliseconds in which a WebSocket has to open. */
  readonly patience?: number;
  /** Milliseconds after which a WebSocket is tried again; twice as long each time, and at most half an hour. */
  readonly retry?: number;
  readonly connect?: Environment["connect"];
  readonly fetch?: Fetch;
  readonly now?: Environment["now"];
  readonly setTimeout?: Environment["setTimeout"];
  readonly clearTimeout?: Environment["clearTimeout"];
}

/** A WebSocket that lasts so many milliseconds has succeeded; so many that did not, one after another, are enough. */
const STABLE = 10_000;
const MOST_DEATHS = 3;
const LONGEST_RETRY = 1_800_000;
/** The code of a connection that broke without a Close, and that of one that is to be opened again at once. */
const BROKEN = 1006;
const MOVED = 4003;

/** The close codes that say what these statuses say. */
const CODES: Readonly<Record<number, number>> = { 400: 4500, 401: 4001, 403: 4504, 429: 4008, 503: 1013 };

interface Globals {
  readonly AbortController: new () => { readonly signal: unknown; abort(): void };
  readonly TextDecoder: new () => { decode(bytes: Uint8Array | undefined, options: { stream: boolean }): string };
  readonly URL: new (url: string, base?: string) => { protocol: string; pathname: string; search: string; readonly href: string };
  readonly location?: { readonly href: string };
  readonly fetch: Fetch;
  readonly setTimeout: Environment["setTimeout"];
  readonly clearTimeout: (timer: unknown) => void;
}

const globals = globalThis as unknown as Globals;

/** What a socket tells its user. */
abstract class Base implements Socket {
  onopen: Socket["onopen"] = null;
  onmessage: Socket["onmessage"] = null;
  onclose: Socket["onclose"] = null;
  onerror: Socket["onerror"] = null;

  abstract send(text: string): void;
  abstract close(): void;
}

/** Receives events, and sends by requests. */
class HttpSocket extends Base {
  readonly #url: string;
  readonly #fetch: Fetch;
  readonly #aborter = new globals.AbortController();
  #token: string;
  #connection = "";
  #isOver = false;
  #sent: Promise<unknown> = Promise.resolve();

  constructor(url: string, protocols: readonly string[], fetch: Fetch) {
    super();
    const at = new globals.URL(url, globals.location?.href);
    at.protocol = at.protocol.replace("ws", "http");
    this.#url = at.href;
    this.#fetch = fetch;
    this.#token = protocols.find((name) => name.startsWith("bearer."))?.slice(7) ?? "";
    void this.#listen();
  }

  send(text: string): void {
    const { action, token } = membersOf(JSON.parse(text));
    if (action === "authenticate") this.#token = textOf(token);
    // One after another, as on a socket.
    this.#sent = this.#sent.then(() => this.#post(text));
  }

  close(): void {
    this.#isOver = true;
    this.#aborter.abort();
  }

  #request(path: string, query: string, more: { readonly method?: string; readonly body?: string }) {
    const at = new globals.URL(this.#url);
    at.pathname = at.pathname.replace(/ws\/?$/, path);
    if (query) at.search = query;
    const headers: Record<string, string> = this.#token ? { authorization: "Bearer " + this.#token } : {};
    return this.#fetch(at.href, { ...more, headers, credentials: "include", cache: "no-store", signal: this.#aborter.signal });
  }

  async #listen(): Promise<void> {
    try {
      const { status, headers, body } = await this.#request("sse", "", {});
      if (status !== 200) {
        this.#end(CODES[status] ?? BROKEN, `retry_after=${headers.get("retry-after") ?? "0"}`);
        return;
      }
      const reader = body?.getReader();
      const decoder = new globals.TextDecoder();
      let rest = "";
      for (let read = await reader?.read(); read && !read.done; read = await reader?.read()) {
        const events = (rest + decoder.decode(read.value, { stream: true })).split("\n\n");
        rest = events.pop() ?? "";
        for (const event of events) this.#event(event);
      }
    } catch {
      // It broke.
    }
    this.#end(BROKEN, "");
  }

  #event(event: string): void {
    if (this.#isOver) return;
    const fields = (name: string) => event.split("\n").filter((line) => line.startsWith(name)).map((line) => line.slice(name.length));
    const data = fields("data: ").join("\n");
    const [name] = fields("event: ");
    if (!data) return;
    if (name === "open") {
      this.#connection = textOf(membersOf(JSON.parse(data))["connection"]);
      this.onopen?.(undefined as never);
    } else if (name === "close") {
      const { code, reason } = membersOf(JSON.parse(data));
      this.#end(Number(code), textOf(reason));
    } else this.onmessage?.({ data } as never);
  }

  async #post(body: string): Promise<void> {
    if (this.#isOver) return;
    try {
      const { status } = await this.#request("messages", "connection=" + encodeURIComponent(this.#connection), { method: "POST", body });
      if (status !== 202) this.#end(BROKEN, "");
    } catch {
      this.#end(BROKEN, "");
    }
  }

  #end(code: number, reason: string): void {
    if (this.#isOver) return;
    this.close();
    this.onclose?.({ code, reason } as never);
  }
}

/** What is known of the network. */
interface Memory {
  /** Until when no WebSocket is tried. */
  httpUntil: number;
  retry: number;
  deaths: number;
}

/** A WebSocket or, if that does not open, events over HTTP. */
class EitherSocket extends Base {
  readonly #url: string;
  readonly #protocols: string[];
  readonly #options: Required<HttpOptions>;
  readonly #memory: Memory;
  #inner: Socket | undefined;
  #timer: unknown;

  constructor(url: string, protocols: string[], options: Required<HttpOptions>, memory: Memory) {
    super();
    this.#url = url;
    this.#protocols = protocols;
    this.#options = options;
    this.#memory = memory;
    if (options.now() < memory.httpUntil) this.#useHttp();
    else this.#useWebSocket();
  }

  send(text: string): void {
    this.#inner?.send(text);
  }

  close(): void {
    this.#leave(1000);
  }

  #leave(code: number): void {
    const inner = this.#inner;
    this.#inner = undefined;
    this.#options.clearTimeout(this.#timer);
    if (!inner) return;
    inner.onopen = inner.onmessage = inner.onclose = null;
    inner.close(code);
  }

  #end(event: unknown): void {
    this.#leave(1000);
    this.onclose?.(event as never);
  }

  #use(inner: Socket, onopen: () => void, onclose: (code: number) => boolean): void {
    this.#inner = inner;
    inner.onopen = () => {
      onopen();
      this.onopen?.(undefined as never);
    };
    inner.onmessage = (event: never) => this.onmessage?.(event);
    inner.onclose = (event: { readonly code: number }) => {
      if (onclose(event.code)) this.#end(event);
    };
    inner.onerror = () => undefined;
  }

  #useWebSocket(): void {
    const { connect, now, setTimeout, clearTimeout, patience, retry } = this.#options;
    const memory = this.#memory;
    let openedAt: number | undefined;
    const opened = () => {
      openedAt = now();
      clearTimeout(this.#timer);
    };
    const ended = (code: number) => {
      if (openedAt === undefined && code === BROKEN) {
        this.#useHttp();
        return false;
      }
      const isDead = code === BROKEN && now() - (openedAt ?? 0) < STABLE;
      memory.deaths = isDead ? memory.deaths + 1 : 0;
      if (!isDead) memory.retry = retry;
      if (memory.deaths >= MOST_DEATHS) this.#preferHttp();
      return true;
    };
    this.#use(connect(this.#url, this.#protocols), opened, ended);
    this.#timer = setTimeout(() => {
      this.#useHttp();
    }, patience);
  }

  #preferHttp(): void {
    const memory = this.#memory;
    memory.deaths = 0;
    memory.httpUntil = this.#options.now() + memory.retry;
    memory.retry = Math.min(2 * memory.retry, LONGEST_RETRY);
  }

  #useHttp(): void {
    this.#leave(1000);
    const { fetch, now, setTimeout } = this.#options;
    const opened = () => {
      // It is the WebSocket that does not get through, and not the network that is down.
      if (now() >= this.#memory.httpUntil) this.#preferHttp();
      this.#timer = setTimeout(() => {
        this.#end({ code: MOVED, reason: "" });
      }, this.#memory.httpUntil - now());
    };
    this.#use(new HttpSocket(this.#url, this.#protocols, fetch), opened, () => true);
  }
}

/**
 * For the option `connect`: WebSockets and, where they do not open or die again and again, events over HTTP, until WebSockets get
 * through.
 */
export function withHttp(options: HttpOptions = {}): Environment["connect"] {
  const all = {
    patience: 3000,
    retry: 60_000,
    connect: connectWebSocket,
    fetch: ((url, request) => globals.fetch(url, request)) as Fetch,
    now: Date.now,
    setTimeout: (run: () => void, after: number) => globals.setTimeout(run, after),
    clearTimeout: (timer: unknown) => {
      globals.clearTimeout(timer);
    },
    ...options,
  };
  const memory: Memory = { httpUntil: 0, retry: all.retry, deaths: 0 };
  return (url, protocols) => new EitherSocket(url, protocols, all, memory);
}
