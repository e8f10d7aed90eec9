/** What both ways over HTTP have in common: a request with the token, behind what looks like a WebSocket. */

import type { Environment, Socket } from "./environment.js";

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
  text(): Promise<string>;
}>;

/** The code of a connection that broke without a Close. */
export const BROKEN = 1006;

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

export const globals = globalThis as unknown as Globals;

/** What a socket tells its user. */
export abstract class Base implements Socket {
  onopen: Socket["onopen"] = null;
  onmessage: Socket["onmessage"] = null;
  onclose: Socket["onclose"] = null;
  onerror: Socket["onerror"] = null;

  abstract send(text: string): void;
  abstract close(): void;
}

/** A socket that is made of requests. */
export abstract class RequestSocket extends Base {
  protected token: string;
  protected isOver = false;
  protected aborter = new globals.AbortController();
  readonly #url: string;
  readonly #fetch: Fetch;

  constructor(url: string, protocols: readonly string[], fetch: Fetch) {
    super();
    const at = new globals.URL(url, globals.location?.href);
    at.protocol = at.protocol.replace("ws", "http");
    this.#url = at.href;
    this.#fetch = fetch;
    this.token = protocols.find((name) => name.startsWith("bearer."))?.slice(7) ?? "";
  }

  close(): void {
    this.isOver = true;
    this.aborter.abort();
  }

  /** Asks at a path beside that of WebSockets, with a query that is made of the one that was given. */
  protected request(path: string, query: (given: string) => string, body?: string): ReturnType<Fetch> {
    const at = new globals.URL(this.#url);
    at.pathname = at.pathname.replace(/ws\/?$/, path);
    at.search = query(at.search);
    const headers: Record<string, string> = this.token ? { authorization: "Bearer " + this.token } : {};
    const more = body === undefined ? {} : { method: "POST", body };
    return this.#fetch(at.href, { ...more, headers, credentials: "include", cache: "no-store", signal: this.aborter.signal });
  }

  /** Ends with what an answer without success says. */
  protected refused({ status, headers }: Awaited<ReturnType<Fetch>>): void {
    this.end(CODES[status] ?? BROKEN, `retry_after=${headers.get("retry-after") ?? "0"}`);
  }

  protected end(code: number, reason: string): void {
    if (this.isOver) return;
    this.close();
    this.onclose?.({ code, reason } as never);
  }
}
