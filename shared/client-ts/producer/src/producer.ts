// The producer: it checks events, keeps them in order while Tidings is away, and sends each until its fate is known.
//
// An event is in the buffer from its acceptance until it is stored or refused for good; nothing leaves it otherwise but by
// `close`, which says what it was. One batch is under way at a time, so what comes later is never stored before.
import type { Catalog } from "./catalog.js";
import { type ErrorDetails, type ErrorKind, PublishError } from "./error.js";
import { type EventOptions, type OutgoingEvent, type PublishedEvent, outgoing } from "./event.js";
import { HttpTransport, type Key } from "./http.js";
import { type Outcome, type Refusal, type Stored, type Transport, Unavailable } from "./transport.js";

export interface Options {
  /** The gateway; without it and `transport`, the environment's `TIDINGS_URL`. */
  readonly url?: string;
  /** An API key or a token; without it, the environment's `TIDINGS_KEY`. */
  readonly key?: Key;
  /** The CloudEvents source of all events, such as `/uploads`; without it, the environment's `TIDINGS_SOURCE`. */
  readonly source?: string;
  /** What carries the events, in place of HTTP. */
  readonly transport?: Transport;
  /** The most events that wait or are under way, and their bytes; 10,000 and 16 MiB if absent. */
  readonly buffer?: { readonly events?: number; readonly bytes?: number };
  /** The largest event, in bytes: `projector.max_event_bytes`; 1 MiB if absent. */
  readonly maxEventBytes?: number;
  /** Takes what is refused for good of the events that `enqueue` took. Without it, the console does. */
  readonly onRefused?: (error: PublishError) => void;
  /** Learns that sending has failed and is tried again after this time, in milliseconds. */
  readonly onRetry?: (error: Unavailable, after: number) => void;
}

/** An event in the buffer. */
interface Entry extends OutgoingEvent {
  readonly settled: Promise<void>;
  readonly stored: (stored: Stored) => void;
  readonly failed: (error: PublishError) => void;
}

/** The most events of a batch, and their bytes. */
const BATCH = { events: 64, bytes: 256 * 1024 };
/** The longest id and source, in bytes. */
const MAX_ID = 256;
/** Waiting after failures, in milliseconds. */
const DELAY = { first: 200, longest: 30_000 };

const environment = (name: string): string | undefined => globalThis.process.env[name] || undefined;

function required(value: string | undefined, option: string, variable: string): string {
  const found = value ?? environment(variable);
  if (found === undefined) throw new TypeError(`a producer needs the option \`${option}\` or the environment's ${variable}`);
  return found;
}

/** Publishes a tenant's events. One for a process is enough. */
export class Producer<Events> {
  readonly #catalog: Catalog<Events>;
  readonly #options: Options;
  readonly #source: string;
  readonly #transport: Transport;
  readonly #waiting: Entry[] = [];
  readonly #end = new AbortController();
  #bytes = 0;
  #batch = BATCH.events;
  #failures = 0;
  #isClosed = false;
  #pumping: Promise<void> | undefined;

  constructor(catalog: Catalog<Events>, options: Options = {}) {
    this.#catalog = catalog;
    this.#options = options;
    this.#source = required(options.source, "source", "TIDINGS_SOURCE");
    if (!isId(this.#source)) throw new TypeError(`source ${JSON.stringify(this.#source)} is not 1 to ${String(MAX_ID)} bytes of text`);
    this.#transport =
      options.transport ??
      new HttpTransport({
        url: required(options.url, "url", "TIDINGS_URL"),
        key: options.key ?? required(undefined, "key", "TIDINGS_KEY"),
      });
  }

  /**
   * Publishes an event, after all earlier ones, and resolves when it is stored, however long Tidings is away. Rejects with a
   * `PublishError` if it is refused, or if the buffer is full.
   */
  publish<Name extends keyof Events & string>(name: Name, data: Events[Name], options: EventOptions = {}): Promise<Stored> {
    return new Promise((resolve, reject) => {
      this.#push(name, data, options, resolve, reject);
    });
  }

  /**
   * Puts an event into the buffer and returns its id. Throws a `PublishError` if it is refused here, or if the buffer is full.
   * What is refused later goes to `onRefused`.
   */
  enqueue<Name extends keyof Events & string>(name: Name, data: Events[Name], options: EventOptions = {}): string {
    return this.#push(name, data, options, () => undefined, (error) => this.#report(error)).event.id;
  }

  /** How many events wait or are under way. */
  get pending(): number {
    return this.#waiting.length;
  }

  /** Resolves when all events that were taken before are stored or refused. */
  async flush(): Promise<void> {
    await Promise.all(this.#waiting.map((entry) => entry.settled));
  }

  /**
   * Takes no more events, waits for the others for so many milliseconds, and returns those of which it is not known whether
   * they are stored.
   */
  async close(within = 10_000): Promise<readonly PublishedEvent[]> {
    this.#isClosed = true;
    const timer = new AbortController();
    await Promise.race([this.flush(), sleep(within, timer.signal)]);
    timer.abort();
    this.#end.abort();
    await this.#pumping;
    const left = this.#waiting.splice(0);
    for (const entry of left) entry.failed(new PublishError("unknown", entry.event, "the producer was closed before an answer came"));
    this.#bytes = 0;
    await this.#transport.close();
    return left.map(({ event }) => event);
  }

  #push(
    name: string,
    data: unknown,
    options: EventOptions,
    stored: (stored: Stored) => void,
    failed: (error: PublishError) => void,
  ): Entry {
    const event = this.#accepted(name, data, options);
    let settle: () => void = () => undefined;
    const settled = new Promise<void>((resolve) => (settle = resolve));
    const entry: Entry = {
      ...event,
      settled,
      stored: (outcome) => {
        stored(outcome);
        settle();
      },
      failed: (error) => {
        failed(error);
        settle();
      },
    };
    this.#waiting.push(entry);
    this.#bytes += entry.bytes;
    this.#pumping ??= this.#pump();
    return entry;
  }

  /** The event as it is sent, if it may be and there is room for it. */
  #accepted(name: string, data: unknown, options: EventOptions): OutgoingEvent {
    const event = outgoing(this.#source, name, data, options);
    const fail = (kind: ErrorKind, message: string, details?: ErrorDetails): PublishError =>
      new PublishError(kind, event.event, message, details);
    if (this.#isClosed) throw fail("closed", "the producer is closed");
    if (!isId(event.event.id)) throw fail("rejected", `its id is not 1 to ${String(MAX_ID)} bytes of text`, { reason: "malformed-event" });
    const { maxEventBytes = 1024 * 1024, buffer = {} } = this.#options;
    if (event.bytes > maxEventBytes) {
      const text = `it has ${String(event.bytes)} bytes, more than ${String(maxEventBytes)}`;
      throw fail("rejected", text, { reason: "too-large" });
    }
    const rejection = this.#catalog.check(event.event);
    if (rejection !== undefined) throw fail("rejected", rejection.text, rejection);
    const { events = 10_000, bytes = 16 * 1024 * 1024 } = buffer;
    if (this.#waiting.length >= events || this.#bytes + event.bytes > bytes) {
      const text = `${String(this.#waiting.length)} events of ${String(this.#bytes)} bytes wait, and there is no room for more`;
      throw fail("full", text);
    }
    return event;
  }

  #isOver(): boolean {
    return this.#end.signal.aborted;
  }

  /** Sends until nothing waits. */
  async #pump(): Promise<void> {
    // What is given at once goes together.
    await Promise.resolve();
    while (this.#waiting.length > 0 && !this.#isOver()) {
      const batch = this.#next();
      try {
        this.#settle(batch, await this.#transport.send(batch, this.#end.signal));
        this.#failures = 0;
        this.#batch = Math.min(BATCH.events, this.#batch * 2);
      } catch (error) {
        if (this.#isOver()) break;
        await this.#wait(error instanceof Unavailable ? error : new Unavailable("sending has failed", 0, { cause: error }));
      }
    }
    // In one step with the look at what waits, so that nothing is given in between.
    this.#pumping = undefined;
  }

  /** The oldest events, as many as go together; at least one. */
  #next(): readonly Entry[] {
    const batch: Entry[] = [];
    let bytes = 0;
    for (const entry of this.#waiting.slice(0, this.#batch)) {
      bytes += entry.bytes;
      if (batch.length > 0 && bytes > BATCH.bytes) break;
      batch.push(entry);
    }
    return batch;
  }

  #settle(batch: readonly Entry[], outcomes: readonly Outcome[]): void {
    const left: Entry[] = [];
    for (const [index, entry] of batch.entries()) {
      const outcome = outcomes[index];
      if (outcome === undefined) {
        left.push(entry);
        continue;
      }
      this.#bytes -= entry.bytes;
      if ("stored" in outcome) entry.stored(outcome.stored);
      else entry.failed(errorOf(entry, outcome.refusal));
    }
    this.#waiting.splice(0, batch.length, ...left);
    if (left.length === batch.length) throw new Unavailable("the transport has said nothing of any event");
  }

  /** Waits longer after each failure, and as long as was asked for; then goes on with one event. */
  async #wait(error: Unavailable): Promise<void> {
    const longest = Math.min(DELAY.longest, DELAY.first * 2 ** Math.min(this.#failures++, 10));
    const after = Math.max(error.after, longest * (0.5 + Math.random() / 2));
    this.#batch = 1;
    quietly(() => this.#options.onRetry?.(error, after));
    await sleep(after, this.#end.signal);
  }

  #report(error: PublishError): void {
    const { onRefused } = this.#options;
    // What `close` returns is no refusal.
    if (error.kind === "unknown") return;
    quietly(() => (onRefused === undefined ? console.error(error) : onRefused(error)));
  }
}

/** Runs what belongs to the application, whose error is not the producer's. */
function quietly(callback: () => void): void {
  try {
    callback();
  } catch (error) {
    console.error(error);
  }
}

function errorOf({ event }: OutgoingEvent, refusal: Refusal): PublishError {
  return new PublishError(refusal.kind, event, refusal.message, refusal);
}

const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const isId = (text: string): boolean => text !== "" && new TextEncoder().encode(text).length <= MAX_ID && !CONTROL.test(text);

/** Resolves after so many milliseconds, or when the signal says so. */
function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", done);
  });
}
