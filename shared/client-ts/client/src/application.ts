/** The application's side: who wants which messages and topics, and who looks at the state. */

import type { Catalog, FiltersOf, Matching, PatternOf, TopicOf } from "./catalog.js";
import type { State, Topics } from "./machine.js";
import type { Filters, Gap } from "./protocol.js";

/** What is known of a message besides its members. */
export interface About {
  /** The id of its event. */
  readonly id: string;
  /** Its place in the stream. */
  readonly position: string;
}

type Handler<Value, More extends unknown[] = []> = (value: Value, ...more: More) => unknown;

const addTo = <Value>(all: Set<Value>, one: Value): (() => void) => {
  all.add(one);
  return () => {
    all.delete(one);
  };
};

/** Whether a value has all that a pattern has. */
export function matches(value: unknown, pattern: unknown): boolean {
  if (typeof pattern !== "object" || pattern === null) return value === pattern;
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(pattern).every(([name, part]) => matches((value as Record<string, unknown>)[name], part));
}

/** What both kinds of client show to an application: one with a connection, and one that shares another tab's. */
export abstract class Application<C extends Catalog> {
  readonly #messages = new Set<Handler<C["message"], [About]>>();
  readonly #gaps = new Set<Handler<Gap>>();
  readonly #errors = new Set<Handler<unknown>>();
  readonly #states = new Set<() => void>();
  readonly #topics = new Map<string, Set<Filters>>();

  /** The state of the connection. */
  abstract readonly state: State;
  /** Connects, unless it has begun already. */
  abstract open(): void;
  /** Disconnects, and stays closed. */
  abstract close(): void;
  protected abstract wants(topics: Topics): void;

  /** Calls a handler with each message, once; it is acknowledged when the handler has returned, or its promise is settled. */
  onMessage(handler: (message: C["message"], about: About) => unknown): () => void {
    return addTo(this.#messages, handler);
  }

  /** As `onMessage`, for the messages that have the members of the pattern. */
  on<const Pattern extends object>(
    pattern: PatternOf<C["message"], Pattern>,
    handler: (message: Matching<C["message"], Pattern>, about: About) => unknown,
  ): () => void {
    return this.onMessage((message, about) =>
      matches(message, pattern) ? handler(message as Matching<C["message"], Pattern>, about) : undefined,
    );
  }

  /** Calls a handler when something could not be delivered: fetch what is shown from its source. */
  onGap(handler: (gap: Gap) => unknown): () => void {
    return addTo(this.#gaps, handler);
  }

  /** Calls a handler with what a message handler threw, and with the gateway's refusals of subscriptions. */
  onError(handler: (error: unknown) => unknown): () => void {
    return addTo(this.#errors, handler);
  }

  /** Calls a listener after each change of `state`. */
  onState(listener: () => void): () => void {
    return addTo(this.#states, listener);
  }

  /**
   * Subscribes to a topic, now and after each reconnect, until it is ended. Several subscriptions to one topic are one: what
   * any of their filters lets pass.
   */
  subscribe<T extends TopicOf<C>>(topic: T, filters: FiltersOf<C, T> = {}): () => void {
    const mine: Filters = { ...(filters as Filters) };
    const all = this.#topics.get(topic) ?? new Set();
    this.#topics.set(topic, all.add(mine));
    this.wants(this.wanted());
    return () => {
      if (!all.delete(mine)) return;
      if (all.size === 0 && this.#topics.get(topic) === all) this.#topics.delete(topic);
      this.wants(this.wanted());
    };
  }

  /** The topics that are wanted, with their filters. */
  protected wanted(): Topics {
    return Object.fromEntries([...this.#topics].map(([topic, all]) => [topic, JSON.stringify(merged([...all]))]));
  }

  /** Hands a message to its handlers, and returns what is to be waited for. */
  protected deliver(message: unknown, about: About): PromiseLike<unknown>[] {
    return this.#call(this.#messages, (handler) => handler(message as C["message"], about));
  }

  protected deliverGap(gap: Gap): PromiseLike<unknown>[] {
    return this.#call(this.#gaps, (handler) => handler(gap));
  }

  /** Tells an error; on the console, if nobody else listens. */
  protected report(error: unknown): void {
    if (this.#errors.size === 0) (globalThis as { console?: { error(error: unknown): void } }).console?.error(error);
    // Apart, so that what fails here fails by itself.
    for (const handler of this.#errors) void Promise.resolve(error).then(handler);
  }

  protected changed(): void {
    for (const listener of [...this.#states]) listener();
  }

  #call<One>(all: Set<One>, call: (one: One) => unknown): PromiseLike<unknown>[] {
    const waits: PromiseLike<unknown>[] = [];
    const fail = (error: unknown) => {
      this.report(error);
    };
    for (const one of [...all]) {
      try {
        const result = call(one);
        if (isPromise(result)) waits.push(result.then(undefined, fail));
      } catch (error) {
        fail(error);
      }
    }
    return waits;
  }
}

export const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === "object" && value !== null && "then" in value;

/** A filter that lets pass what any of these lets pass, and as little else as can be said. */
export function merged(all: readonly Filters[]): Filters {
  const [first = {}, ...others] = all;
  const common = Object.keys(first).filter((name) => others.every((other) => name in other));
  const union = (name: string) => [...new Set(all.flatMap((one) => one[name] ?? []))].sort();
  return Object.fromEntries(common.sort().map((name) => [name, union(name)]));
}
