// Over NATS: each event is published through JetStream, with the packages of NATS that the application installs.
import { JetStreamApiError, jetstream } from "@nats-io/jetstream";
import {
  type ConnectionOptions,
  InvalidArgumentError,
  type NatsConnection,
  PermissionViolationError,
  connect,
  headers,
} from "@nats-io/transport-node";

import type { OutgoingEvent } from "./event.js";
import { type Outcome, type Transport, Unavailable } from "./transport.js";

export interface NatsOptions extends ConnectionOptions {
  readonly tenant: string;
  /** How long to wait until an event is stored, in milliseconds; 5 s if absent. */
  readonly ackTimeout?: number;
}

/** JetStream's code for a message that is larger than the stream takes. */
const TOO_LARGE = 10054;

/**
 * Sends events to JetStream, one after the other. It connects when the first is sent, and reconnects for as long as it takes.
 * The NATS user may publish to `events.<tenant>.>` and subscribe to `_INBOX_<tenant>_producer.>`, unless `inboxPrefix` says
 * otherwise.
 */
export class NatsTransport implements Transport {
  readonly #options: NatsOptions;
  #connection: Promise<NatsConnection> | undefined;

  constructor(options: NatsOptions) {
    this.#options = options;
  }

  async send([first, ...rest]: readonly OutgoingEvent[], signal: AbortSignal): Promise<readonly Outcome[]> {
    if (first === undefined) return [];
    signal.throwIfAborted();
    return [await this.#publish(first), ...rest.map(() => undefined)];
  }

  async close(): Promise<void> {
    const connection = await this.#connection?.catch(() => undefined);
    await connection?.close();
  }

  async #publish({ event, text }: OutgoingEvent): Promise<Outcome> {
    const { tenant, ackTimeout = 5_000 } = this.#options;
    const head = headers();
    head.set("Content-Type", "application/cloudevents+json");
    try {
      const stream = jetstream(await this.#connected());
      const acknowledged = await stream.publish(`events.${tenant}.${event.type}`, text, {
        // CloudEvents with the same source and id are the same event.
        msgID: `${tenant}/${event.source}/${event.id}`,
        headers: head,
        timeout: ackTimeout,
      });
      return { stored: { id: event.id, sequence: acknowledged.seq, duplicate: acknowledged.duplicate } };
    } catch (error) {
      if (!isForGood(error)) throw new Unavailable("NATS does not store events now", 0, { cause: error });
      return { refusal: { kind: "refused", message: `NATS does not take the event: ${String(error)}` } };
    }
  }

  async #connected(): Promise<NatsConnection> {
    // One that has ended for good, such as after refused credentials, is made again: others may be there by then.
    if ((await this.#connection)?.isClosed() === true) this.#connection = undefined;
    const { tenant, ...options } = this.#options;
    const defaults = { maxReconnectAttempts: -1, inboxPrefix: `_INBOX_${tenant}_producer` };
    this.#connection ??= connect({ ...defaults, ...options }).catch((error: unknown) => {
      this.#connection = undefined;
      throw error;
    });
    return await this.#connection;
  }
}

/** Whether NATS refuses the event, however often it is sent. */
function isForGood(error: unknown): boolean {
  if (error instanceof JetStreamApiError) return error.apiError().err_code === TOO_LARGE;
  if (error instanceof PermissionViolationError) return error.operation === "publish";
  return error instanceof InvalidArgumentError;
}
