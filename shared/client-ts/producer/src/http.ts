// Over HTTP: `POST /api/v1/events` at a gateway, through `fetch`.
import type { OutgoingEvent } from "./event.js";
import { type Outcome, type Refusal, type Transport, Unavailable } from "./transport.js";

/** An API key or a token: as text, or asked for before each request. A refused token is asked for once more. */
export type Key = string | ((refused?: string) => string | Promise<string>);

export interface HttpOptions {
  /** The gateway, such as `https://tidings.example`. */
  readonly url: string;
  readonly key: Key;
  /** How long to wait for an answer, in milliseconds; 10 s if absent. */
  readonly timeout?: number;
}

/** An answer of the gateway. */
interface Answer {
  readonly status: number;
  readonly retryAfter: number;
  readonly body: Body;
}

interface Body extends Problem {
  readonly id?: unknown;
  readonly sequence?: unknown;
  readonly duplicate?: unknown;
}

/** What is wrong with a request, or with an event of a batch (RFC 9457). */
interface Problem {
  readonly index?: unknown;
  readonly code?: unknown;
  readonly detail?: unknown;
  readonly reason?: unknown;
  readonly pointer?: unknown;
  readonly events?: unknown;
}

const PATH = "/api/v1/events";
const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** The longest that an answer makes a producer wait, in milliseconds. */
const LONGEST = 300_000;

/** `Retry-After`, in seconds or as a date, in milliseconds. */
function retryAfter(value: string | null): number {
  if (value === null) return 0;
  const seconds = Number(value);
  const wait = Number.isNaN(seconds) ? Date.parse(value) - Date.now() : seconds * 1000;
  return Number.isNaN(wait) ? 0 : Math.min(LONGEST, Math.max(0, wait));
}

/** Answers that say nothing about the event: the same may be taken later. */
const isForNow = (status: number): boolean => status === 408 || status === 429 || status >= 500;

function refusalOf(status: number, { code, detail, reason, pointer }: Problem): Refusal {
  const isRedirect = status >= 300 && status < 400;
  const otherwise = isRedirect ? "the address redirects; give the one of the gateway itself" : `the answer is ${String(status)}`;
  return {
    kind: code === "EVENT_REJECTED" || code === "EVENT_TOO_LARGE" ? "rejected" : "refused",
    message: text(detail) ?? otherwise,
    status,
    code: text(code),
    reason: text(reason),
    pointer: text(pointer),
  };
}

/** Sends events to a gateway. */
export class HttpTransport implements Transport {
  readonly #url: string;
  readonly #key: Key;
  readonly #timeout: number;

  constructor({ url, key, timeout = 10_000 }: HttpOptions) {
    this.#url = `${new URL(url).href.replace(/\/+$/, "")}${PATH}`;
    this.#key = key;
    this.#timeout = timeout;
  }

  async send(events: readonly OutgoingEvent[], signal: AbortSignal): Promise<readonly Outcome[]> {
    const { status, retryAfter, body } = await this.#post(events, signal);
    if (isForNow(status)) {
      throw new Unavailable(`the gateway answers ${String(status)}: ${text(body.detail) ?? "nothing more"}`, retryAfter);
    }
    if (status === 200) return events.map((event, index) => stored(event, events.length === 1 ? body : (list(body.events)[index] as Body | undefined)));
    const named = list(body.events) as readonly Problem[];
    if (events.length > 1 && named.length > 0) {
      const refused = new Map(named.map((one) => [one.index, refusalOf(status, one)]));
      const outcomes = events.map((_, index) => {
        const refusal = refused.get(index);
        return refusal === undefined ? undefined : { refusal };
      });
      if (outcomes.some((outcome) => outcome !== undefined)) return outcomes;
    }
    // What is too much together may be taken one by one; and what is wrong with one is no fault of the others.
    const [first] = events;
    if (events.length > 1 && first !== undefined) {
      const [outcome] = await this.send([first], signal);
      return events.map((_, index) => (index === 0 ? outcome : undefined));
    }
    return events.map(() => ({ refusal: refusalOf(status, body) }));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #post(events: readonly OutgoingEvent[], signal: AbortSignal): Promise<Answer> {
    const token = await this.#token();
    const answer = await this.#request(token, events, signal);
    if (answer.status !== 401 || typeof this.#key === "string") return answer;
    const fresh = await this.#token(token);
    return fresh === token ? answer : await this.#request(fresh, events, signal);
  }

  async #token(refused?: string): Promise<string> {
    if (typeof this.#key === "string") return this.#key;
    try {
      return await this.#key(refused);
    } catch (error) {
      throw new Unavailable("there is no token now", 0, { cause: error });
    }
  }

  async #request(token: string, events: readonly OutgoingEvent[], signal: AbortSignal): Promise<Answer> {
    const [first] = events;
    const isBatch = events.length > 1 || first === undefined;
    try {
      const response = await fetch(this.#url, {
        method: "POST",
        headers: {
          authorization: `Bearer ${token}`,
          "content-type": isBatch ? "application/cloudevents-batch+json" : "application/cloudevents+json",
        },
        body: isBatch ? `[${events.map((event) => event.text).join(",")}]` : first.text,
        redirect: "manual",
        signal: AbortSignal.any([signal, AbortSignal.timeout(this.#timeout)]),
      });
      const read = parse(await response.text());
      return { status: response.status, retryAfter: retryAfter(response.headers.get("retry-after")), body: read };
    } catch (error) {
      throw new Unavailable(`there is no answer from ${this.#url}`, 0, { cause: error });
    }
  }
}

/** What is no JSON says nothing. */
function parse(answer: string): Body {
  try {
    const read = JSON.parse(answer) as unknown;
    return typeof read === "object" && read !== null ? read : {};
  } catch {
    return {};
  }
}

/** What a gateway says of a stored event. Others than gateways, such as the page of a proxy, do not say it. */
function stored({ event }: OutgoingEvent, said: Body | undefined): Outcome {
  if (said?.id !== event.id || typeof said.sequence !== "number") {
    throw new Unavailable("the answer is not that of a gateway; is the address right?");
  }
  return { stored: { id: event.id, sequence: said.sequence, duplicate: said.duplicate === true } };
}
