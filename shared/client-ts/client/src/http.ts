/**
 * For networks without WebSockets: events over HTTP, and a request for each message to the gateway; or, where a proxy holds
 * events back, one request after the other.
 *
 * All are behind what looks like a WebSocket, so the client is the same: it keeps the place of what was handled, and each
 * connection begins behind it, whichever kind it is. So nothing is lost or doubled at a switch.
 */

import { type Environment, type Socket, connect as connectWebSocket } from "./environment.js";
import { PollSocket } from "./poll.js";
import { membersOf, textOf } from "./protocol.js";
import { BROKEN, Base, type Fetch, RequestSocket, globals } from "./request.js";

export type { Fetch };

export interface HttpOptions {
  /** Milliseconds in which a WebSocket has to open, and then an event stream. */
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
/** The code of a connection that is to be opened again at once. */
const MOVED = 4003;
/** Receives events, and sends by requests. */
class HttpSocket extends RequestSocket {
  #connection = "";
  #sent: Promise<unknown> = Promise.resolve();

  constructor(url: string, protocols: readonly string[], fetch: Fetch) {
    super(url, protocols, fetch);
    void this.#listen();
  }

  send(text: string): void {
    const { action, token } = membersOf(JSON.parse(text));
    if (action === "authenticate") this.token = textOf(token);
    // One after another, as on a socket.
    this.#sent = this.#sent.then(() => this.#post(text));
  }

  async #listen(): Promise<void> {
    try {
      const answer = await this.request("sse", (given) => given);
      if (answer.status !== 200) {
        this.refused(answer);
        return;
      }
      const reader = answer.body?.getReader();
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
    this.end(BROKEN, "");
  }

  #event(event: string): void {
    if (this.isOver) return;
    const fields = (name: string) => event.split("\n").filter((line) => line.startsWith(name)).map((line) => line.slice(name.length));
    const data = fields("data: ").join("\n");
    const [name] = fields("event: ");
    if (!data) return;
    if (name === "open") {
      this.#connection = textOf(membersOf(JSON.parse(data))["connection"]);
      this.onopen?.(undefined as never);
    } else if (name === "close") {
      const { code, reason } = membersOf(JSON.parse(data));
      this.end(Number(code), textOf(reason));
    } else this.onmessage?.({ data } as never);
  }

  async #post(body: string): Promise<void> {
    if (this.isOver) return;
    try {
      const { status } = await this.request("messages", () => "connection=" + encodeURIComponent(this.#connection), body);
      if (status !== 202) this.end(BROKEN, "");
    } catch {
      this.end(BROKEN, "");
    }
  }
}

/** What is known of the network. */
interface Memory {
  /** Until when no WebSocket is tried. */
  httpUntil: number;
  retry: number;
  deaths: number;
  /** Whether event streams do not get through either. */
  polls: boolean;
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
      memory.polls = false;
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
    const { fetch, setTimeout, patience } = this.#options;
    if (this.#memory.polls) return this.#poll();
    let isOpen = false;
    const opened = () => {
      isOpen = true;
      this.#opened();
    };
    const ended = (code: number) => {
      const isBlocked = !isOpen && code === BROKEN;
      if (isBlocked) this.#poll();
      return !isBlocked;
    };
    this.#use(new HttpSocket(this.#url, this.#protocols, fetch), opened, ended);
    this.#timer = setTimeout(() => {
      this.#poll();
    }, patience);
  }

  #poll(): void {
    this.#leave(1000);
    const { fetch, setTimeout } = this.#options;
    const memory = this.#memory;
    // At once the next time, even if the client gives this one up.
    memory.polls = true;
    let isOpen = false;
    const opened = () => {
      isOpen = true;
      this.#opened();
    };
    const ended = () => {
      memory.polls = isOpen;
      return true;
    };
    this.#use(new PollSocket(this.#url, this.#protocols, fetch, setTimeout), opened, ended);
  }

  #opened(): void {
    const { now, setTimeout, clearTimeout } = this.#options;
    const memory = this.#memory;
    clearTimeout(this.#timer);
    // It is the WebSocket that does not get through, and not the network that is down.
    if (now() >= memory.httpUntil) this.#preferHttp();
    this.#timer = setTimeout(() => {
      this.#end({ code: MOVED, reason: "" });
    }, memory.httpUntil - now());
  }
}

/**
 * For the option `connect`: WebSockets and, where they do not open or die again and again, events over HTTP, until WebSockets get
 * through; where events do not get through either, requests that wait.
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
  const memory: Memory = { httpUntil: 0, retry: all.retry, deaths: 0, polls: false };
  return (url, protocols) => new EitherSocket(url, protocols, all, memory);
}
