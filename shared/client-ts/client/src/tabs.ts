/**
 * One connection for all tabs of an origin.
 *
 * The tab that holds a Web Lock leads: it has the connection, and hands each message to the other tabs over a
 * BroadcastChannel. When it closes or dies, the browser gives the lock to the next tab, which resumes where the last stood. A
 * message is passed on before its position is kept, so none is lost then; each tab leaves out what it has had, so none comes
 * twice.
 */

import { type About, Application, merged } from "./application.js";
import type { AnyCatalog, Catalog, RouteOf } from "./catalog.js";
import { Client, type Options, type SendOptions, type Speaker, type Tidings } from "./client.js";
import { type Store, environmentOf } from "./environment.js";
import type { State, Topics } from "./machine.js";
import { type Filters, type Gap, TidingsError, seqOf } from "./protocol.js";

interface Channel {
  onmessage: ((event: never) => void) | null;
  postMessage(value: unknown): void;
  close(): void;
}

interface Signal {
  readonly aborted: boolean;
  onabort: (() => void) | null;
}

interface Aborter {
  readonly signal: Signal;
  abort(): void;
}

interface Locks {
  request(name: string, options: { signal?: Signal }, hold: () => Promise<unknown>): Promise<unknown>;
}

/** What a tab needs to share a connection. */
export interface TabEnvironment {
  readonly channel: (name: string) => Channel;
  readonly locks: Locks;
}

export interface TabOptions extends Options {
  /** Tabs with the same name share a connection. */
  readonly name?: string;
  readonly tabs?: TabEnvironment;
}

/** What a tab asks of the leader. */
interface Ask {
  readonly id: string;
  readonly kind: "request" | "publish";
  readonly action: string;
  readonly members: object;
  readonly timeout: number | undefined;
}

/** What tabs say to each other. */
type Note =
  | { readonly kind: "hello" | "open" }
  | { readonly kind: "leader" | "state"; readonly state: State }
  | { readonly kind: "topics"; readonly tab: string; readonly topics: Topics }
  | { readonly kind: "message"; readonly body: unknown; readonly about: About }
  | { readonly kind: "gap"; readonly gap: Gap }
  | { readonly kind: "ask"; readonly ask: Ask }
  | { readonly kind: "answer"; readonly id: string; readonly result: unknown }
  | { readonly kind: "refusal"; readonly id: string; readonly code: string; readonly text: string; readonly details: object };

interface Waiting {
  readonly ask: Ask;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

interface Globals {
  readonly AbortController: new () => Aborter;
  readonly BroadcastChannel?: new (name: string) => Channel;
  readonly navigator?: { readonly locks?: Locks };
  readonly sessionStorage?: Store;
}

const globals = globalThis as unknown as Globals;

class Tab<C extends Catalog> extends Application<C> implements Speaker<C> {
  readonly #options: TabOptions;
  readonly #tabs: TabEnvironment;
  readonly #name: string;
  readonly #id: string;
  #state: State = { name: "closed", reason: "application", code: 0 };
  #channel: Channel | undefined;
  #leaving: Aborter | undefined;
  #endLead: (() => void) | undefined;
  #client: Client<C> | undefined;
  /** Whether others can notice when this tab is gone. */
  #isKnown = false;
  /** The topics of each tab, of which only the leader knows. */
  readonly #topics = new Map<string, Topics>();
  readonly #wanted = new Map<string, () => void>();
  readonly #waiting = new Map<string, Waiting>();
  readonly #asked = new Set<string>();
  /** What this tab had last. */
  #had = "";

  constructor(options: TabOptions, tabs: TabEnvironment) {
    super();
    this.#options = options;
    this.#tabs = tabs;
    this.#name = "tidings:" + (options.name ?? options.url);
    this.#id = environmentOf(options).unique();
  }

  override get state(): State {
    return this.#state;
  }

  override open(): void {
    if (this.#channel) return this.#post({ kind: "open" });
    const channel = this.#tabs.channel(this.#name);
    this.#channel = channel;
    channel.onmessage = ({ data }: { data: Note }) => {
      this.#hear(data);
    };
    const leaving = new globals.AbortController();
    this.#leaving = leaving;
    const { signal } = leaving;
    // Held as long as this tab is there: by this the leader notices that it is not. Nothing is wanted before.
    this.#hold(this.#name + ":" + this.#id, signal, () => {
      this.#isKnown = true;
      this.wants(this.wanted());
      return new Promise<void>((end) => {
        signal.onabort = () => {
          end();
        };
      });
    });
    this.#hold(this.#name, signal, () => this.#lead());
    this.#enter({ name: "connecting" });
    this.#post({ kind: "hello" });
  }

  override close(): void {
    if (!this.#channel) return;
    this.#post({ kind: "topics", tab: this.#id, topics: {} });
    this.#endLead?.();
    this.#leaving?.abort();
    this.#channel.close();
    this.#channel = undefined;
    this.#isKnown = false;
    this.#had = "";
    this.#enter({ name: "closed", reason: "application", code: 0 });
    for (const { reject } of this.#waiting.values()) reject(new TidingsError("CLOSED", "the client was closed"));
    this.#waiting.clear();
  }

  request<R extends RouteOf<C>>(action: R, params: C["routes"][R]["params"], options?: SendOptions) {
    return this.#ask("request", action, params, options) as Promise<C["routes"][R]["answer"]>;
  }

  publish(message: C["publication"], options?: SendOptions): Promise<string> {
    return this.#ask("publish", "", message, options) as Promise<string>;
  }

  protected override wants(topics: Topics): void {
    if (this.#client) this.#setTopics(this.#id, topics);
    else if (this.#isKnown) this.#post({ kind: "topics", tab: this.#id, topics });
  }

  #post(note: Note): void {
    if (note.kind === "open" && this.#client) this.#client.open();
    this.#channel?.postMessage(note);
  }

  #hold(name: string, signal: Signal, hold: () => Promise<unknown>): void {
    // Aborted when this tab is closed.
    this.#tabs.locks.request(name, { signal }, hold).catch((error: unknown) => {
      if (!signal.aborted) this.report(error);
    });
  }

  #enter(state: State): void {
    this.#state = state;
    this.changed();
  }

  #ask(kind: Ask["kind"], action: string, members: object, options: SendOptions = {}): Promise<unknown> {
    const { id = environmentOf(this.#options).unique(), timeout } = options;
    if (!this.#channel) return Promise.reject(new TidingsError("CLOSED", "the client is closed; open it first"));
    return new Promise((resolve, reject) => {
      const ask = { id, kind, action, members, timeout };
      this.#waiting.set(id, { ask, resolve, reject });
      if (this.#client) this.#answer(ask);
      else this.#post({ kind: "ask", ask });
    });
  }

  #hear(note: Note): void {
    switch (note.kind) {
      case "message":
        void this.#pass(note.body, note.about);
        return;
      case "gap":
        void this.deliverGap(note.gap);
        return;
      case "answer":
      case "refusal":
        return this.#answered(note);
      case "leader":
        // A new one knows nothing of what was said to the last.
        this.#enter(note.state);
        this.wants(this.wanted());
        for (const { ask } of this.#waiting.values()) this.#post({ kind: "ask", ask });
        return;
      case "state":
        return this.#enter(note.state);
      default:
        if (this.#client) this.#serve(this.#client, note);
    }
  }

  /** What another tab says to the leader. */
  #serve(client: Client<C>, note: Note): void {
    if (note.kind === "hello") this.#post({ kind: "leader", state: client.state });
    else if (note.kind === "open") client.open();
    else if (note.kind === "ask") this.#answer(note.ask);
    else if (note.kind === "topics") {
      const isNew = !this.#topics.has(note.tab);
      this.#setTopics(note.tab, note.topics);
      if (!isNew || !this.#leaving) return;
      // Granted when that tab is gone.
      this.#hold(this.#name + ":" + note.tab, this.#leaving.signal, () => {
        this.#setTopics(note.tab, {});
        this.#topics.delete(note.tab);
        return Promise.resolve();
      });
    }
  }

  #answered(note: Note & { kind: "answer" | "refusal" }): void {
    const waiting = this.#waiting.get(note.id);
    this.#waiting.delete(note.id);
    if (note.kind === "answer") waiting?.resolve(note.result);
    else waiting?.reject(new TidingsError(note.code, note.text, { ...note.details }));
  }

  /** Hands a message to this tab's handlers, unless it has had it. */
  #pass(body: unknown, about: About): Promise<unknown> {
    const isSameEpoch = this.#had.split("-")[0] === about.position.split("-")[0];
    if (isSameEpoch && seqOf(about.position) <= seqOf(this.#had)) return Promise.resolve();
    this.#had = about.position;
    return Promise.all(this.deliver(body, about));
  }

  /** Leads until this tab is closed: it has the connection, and serves the other tabs. */
  #lead(): Promise<void> {
    const client = new Client<C>(this.#options);
    this.#client = client;
    client.onMessage((body, about) => {
      this.#post({ kind: "message", body, about });
      return this.#pass(body, about);
    });
    client.onGap((gap) => {
      this.#post({ kind: "gap", gap });
      return Promise.all(this.deliverGap(gap));
    });
    client.onError((error) => {
      this.report(error);
    });
    client.onState(() => {
      if (this.#client !== client) return;
      this.#enter(client.state);
      this.#post({ kind: "state", state: client.state });
    });
    this.#setTopics(this.#id, this.wanted());
    client.open();
    this.#post({ kind: "leader", state: client.state });
    for (const { ask } of this.#waiting.values()) this.#answer(ask);
    return new Promise((end) => {
      this.#endLead = () => {
        this.#endLead = this.#client = undefined;
        this.#topics.clear();
        this.#wanted.clear();
        this.#asked.clear();
        client.close();
        end();
      };
    });
  }

  /** Answers a tab; once, however often it asks. */
  #answer({ id, kind, action, members, timeout }: Ask): void {
    const client = this.#client;
    if (!client || this.#asked.has(id)) return;
    this.#asked.add(id);
    const options: SendOptions = { id, ...(timeout !== undefined && { timeout }) };
    const answer = kind === "publish" ? client.publish(members, options) : client.request(action as never, members, options);
    const tell = (note: Note & { kind: "answer" | "refusal" }) => {
      this.#asked.delete(id);
      // Whoever leads next answers what this one has not.
      if (note.kind === "refusal" && note.code === "CLOSED" && this.#client !== client) return;
      this.#answered(note);
      this.#post(note);
    };
    answer.then(
      (result: unknown) => {
        tell({ kind: "answer", id, result });
      },
      (error: unknown) => {
        const { code, message: text, details } = error instanceof TidingsError ? error : new TidingsError("INTERNAL", String(error));
        tell({ kind: "refusal", id, code, text, details });
      },
    );
  }

  /** Subscribes to what any tab wants. */
  #setTopics(tab: string, topics: Topics): void {
    const client = this.#client;
    if (!client) return;
    this.#topics.set(tab, topics);
    const all = new Map<string, Filters[]>();
    for (const [topic, filters] of [...this.#topics.values()].flatMap((one) => Object.entries(one))) {
      all.set(topic, [...(all.get(topic) ?? []), JSON.parse(filters) as Filters]);
    }
    const before = new Map(this.#wanted);
    this.#wanted.clear();
    // What is new before what ends, so that nothing in between is missed.
    for (const [topic, filters] of all) {
      const one = merged(filters);
      const key = JSON.stringify([topic, one]);
      this.#wanted.set(key, before.get(key) ?? client.subscribe(topic as never, one as never));
      before.delete(key);
    }
    for (const end of before.values()) end();
  }
}

/** What browsers have; nothing, where a connection cannot be shared. */
function tabsHere(): TabEnvironment | undefined {
  const { BroadcastChannel: Broadcast, navigator } = globals;
  const locks = navigator?.locks;
  return Broadcast && locks ? { locks, channel: (name) => new Broadcast(name) } : undefined;
}

/**
 * A client that shares one connection with all tabs of its origin. Where a browser cannot share, each tab is a device of its
 * own, with a connection of its own.
 */
export function createTabsClient<C extends Catalog = AnyCatalog>(options: TabOptions): Tidings<C> {
  const tabs = options.tabs ?? tabsHere();
  if (tabs) return new Tab<C>(options, tabs);
  const { sessionStorage: store } = globals;
  return new Client<C>({ ...(store && { store }), ...options });
}

