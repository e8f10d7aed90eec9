/** A client with a connection of its own: it carries out what the state machine asks for. */

import { Application, isPromise } from "./application.js";
import type { AnyCatalog, Catalog, RouteOf } from "./catalog.js";
import { type Environment, type Socket, environmentOf } from "./environment.js";
import { type Delivery, type Effect, type Input, type Machine, type Settings, type State, type Stored, type Topics, dueAt, newMachine } from "./machine.js";
import { TidingsError, claimsOf, isPosition, readFrame, textOf } from "./protocol.js";
import { reduce } from "./reduce.js";

export interface Options extends Partial<Settings>, Partial<Environment> {
  /** Where the gateway is, such as `wss://example.org/api/ws`; in a browser also `/api/ws`. */
  readonly url: string;
  /** A token for the user; `null`, if nobody is logged in. Without it, the cookie of the page counts. */
  readonly token?: () => string | null | undefined | Promise<string | null | undefined>;
  /** Whose positions are kept, where that is not the token's `tenant` and `sub`. */
  readonly user?: string;
  /** The name of this device, otherwise made up and kept. */
  readonly device?: string;
}

export interface SendOptions {
  /** Milliseconds after which the promise is rejected with `TIMEOUT`. */
  readonly timeout?: number;
  /** The message's id, never used before by this user. */
  readonly id?: string;
}

/** What is said to the gateway, and its answers. */
export interface Speaker<C extends Catalog> {
  /** Asks for the newest message of a key; rejected with `NOT_FOUND`, if there is none. */
  request<R extends RouteOf<C>>(
    action: R,
    params: C["routes"][R]["params"],
    options?: SendOptions,
  ): Promise<C["routes"][R]["answer"]>;
  /** Publishes a message, and returns the id of its event when it is stored; later, while there is no connection. */
  publish(message: C["publication"], options?: SendOptions): Promise<string>;
}

/** An application's client. */
export type Tidings<C extends Catalog = AnyCatalog> = Application<C> & Speaker<C>;

/** The longest time that every `setTimeout` can wait. */
const LONGEST = 2 ** 30;

const DEFAULTS: Settings = {
  reconnect: {},
  heartbeat: 30_000,
  patience: 10_000,
  maxQueued: 1000,
  maxOutbox: 100,
  duplicateWindow: 110_000,
};

export class Client<C extends Catalog = AnyCatalog> extends Application<C> implements Speaker<C> {
  readonly #options: Options;
  #environment: Environment | undefined;
  #machine: Machine;
  readonly #inputs: Input[] = [];
  #isBusy = false;
  #socket: Socket | undefined;
  #timer: unknown;
  #timerAt = Infinity;
  #endAwake: (() => void) | undefined;
  readonly #waiting = new Map<string, (result: unknown) => void>();

  constructor(options: Options) {
    super();
    this.#options = options;
    this.#machine = newMachine({ ...DEFAULTS, ...options });
  }

  override get state(): State {
    return this.#machine.state;
  }

  override open(): void {
    this.#endAwake ??= this.#world.onAwake(() => {
      this.#take({ kind: "awake" });
    });
    this.#take({ kind: "open" });
  }

  override close(): void {
    this.#take({ kind: "close" });
  }

  request<R extends RouteOf<C>>(action: R, params: C["routes"][R]["params"], options?: SendOptions) {
    return this.#ask("route", { ...params, action }, { timeout: 30_000, ...options }) as Promise<C["routes"][R]["answer"]>;
  }

  publish(message: C["publication"], options?: SendOptions): Promise<string> {
    return this.#ask("publish", message, options) as Promise<string>;
  }

  protected override wants(wanted: Topics): void {
    this.#take({ kind: "topics", wanted });
  }

  get #world(): Environment {
    return (this.#environment ??= environmentOf(this.#options));
  }

  #ask(kind: "route" | "publish", frame: object, options: SendOptions = {}): Promise<unknown> {
    const { id = this.#world.unique(), timeout = Infinity } = options;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, (result) => {
        if (result instanceof TidingsError) reject(result);
        else resolve(result);
      });
      const deadline = this.#world.now() + timeout;
      const request = { id, kind, frame: { ...frame }, deadline, firstSent: 0, isSent: false };
      this.#take({ kind: "request", request });
    });
  }

  /** One input after another: an effect may cause the next. */
  #take(input: Input): void {
    this.#inputs.push(input);
    if (this.#isBusy) return;
    this.#isBusy = true;
    const { state } = this.#machine;
    const { now, random } = this.#world;
    for (let next = this.#inputs.shift(); next; next = this.#inputs.shift()) {
      const [machine, effects] = reduce(this.#machine, next, { now: now(), random });
      this.#machine = machine;
      for (const effect of effects) this.#perform(effect);
    }
    this.#isBusy = false;
    this.#schedule();
    if (this.state === state) return;
    if (this.state.name === "closed") {
      this.#endAwake?.();
      this.#endAwake = undefined;
    }
    this.changed();
  }

  /** One timer for all; one that rings too early does no harm. */
  #schedule(): void {
    const at = dueAt(this.#machine);
    if (at === undefined || at >= this.#timerAt) return;
    const { now, setTimeout, clearTimeout } = this.#world;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => {
      this.#timerAt = Infinity;
      this.#take({ kind: "tick" });
    }, Math.min(Math.max(at - now(), 0), LONGEST));
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case "ask-token":
        void this.#askToken(effect.asking);
        return;
      case "connect":
        return this.#connect(effect);
      case "send":
        return this.#socket?.send(effect.text);
      case "disconnect":
        return this.#disconnect();
      case "deliver":
        return this.#deliver(effect.delivery);
      case "settle":
        this.#waiting.get(effect.id)?.(effect.result);
        this.#waiting.delete(effect.id);
        return;
      case "report":
        return this.report(effect.error);
    }
  }

  async #askToken(asking: number): Promise<void> {
    try {
      const { token: ask } = this.#options;
      const token = ask ? (await ask()) || null : "";
      const stored = await this.#stored(token ?? "");
      this.#take({ kind: "token", asking, token, stored });
    } catch (error) {
      this.report(error);
      this.#take({ kind: "no-token", asking });
    }
  }

  /** What is kept of the user that a token names. */
  async #stored(token: string): Promise<Stored> {
    const { store, unique } = this.#world;
    const { tenant, sub } = claimsOf(token);
    const key = "tidings:" + (this.#options.user ?? `${textOf(tenant)}/${textOf(sub)}`);
    let device = this.#options.device ?? (await store.getItem("tidings:device"));
    if (!device) {
      device = unique();
      await store.setItem("tidings:device", device);
    }
    const position = (await store.getItem(key)) ?? "";
    return { key, position: isPosition(position) ? position : "", device };
  }

  #connect({ socket, token, device, since }: Effect & { kind: "connect" }): void {
    const query = `refusals=close&device=${encodeURIComponent(device)}` + (since && `&since=${since}`);
    const url = this.#options.url + (this.#options.url.includes("?") ? "&" : "?") + query;
    try {
      const opened = this.#world.connect(url, ["tidings.v1", ...(token ? ["bearer." + token] : [])]);
      this.#socket = opened;
      opened.onopen = () => {
        this.#take({ kind: "opened", socket });
      };
      opened.onmessage = ({ data }: { data: unknown }) => {
        this.#take({ kind: "frame", socket, frame: readFrame(String(data)) });
      };
      opened.onclose = ({ code, reason = "" }: { code: number; reason?: string }) => {
        this.#take({ kind: "lost", socket, code, after: Number(reason.split("retry_after=")[1] ?? 0) * 1000 });
      };
      // A close follows, which says more.
      opened.onerror = () => undefined;
    } catch (error) {
      this.report(error);
      this.#take({ kind: "lost", socket, code: 1006, after: 0 });
    }
  }

  #disconnect(): void {
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = undefined;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(1000);
  }

  /** Hands it to the application, keeps its position, and only then has it acknowledged. */
  #deliver(delivery: Delivery): void {
    const { key } = this.#machine;
    const { position } = delivery;
    const done = () => {
      this.#take({ kind: "handled", delivery });
    };
    const keep = () => {
      try {
        const kept = this.#world.store.setItem(key, position);
        if (isPromise(kept)) kept.then(done, failed);
        else done();
      } catch (error) {
        failed(error);
      }
    };
    const failed = (error: unknown) => {
      this.report(error);
      done();
    };
    const waits =
      delivery.kind === "message" ? this.deliver(delivery.body, { id: delivery.id, position })
      : delivery.kind === "gap" ? this.deliverGap(delivery.gap)
      : [];
    if (waits.length > 0) void Promise.all(waits).then(keep);
    else keep();
  }
}

/** A client with a connection of its own. It connects when it is opened. */
export const createClient = <C extends Catalog = AnyCatalog>(options: Options): Tidings<C> => new Client<C>(options);
