// Why an event is not stored.
import type { PublishedEvent } from "./event.js";

/**
 * - `rejected`: the catalog refuses it, here or at the gateway; `reason` and `pointer` say why and where;
 * - `refused`: the gateway or NATS does not take it, however often it is sent;
 * - `full`: the buffer has no room for it, now;
 * - `closed`: the producer was closed before;
 * - `unknown`: the producer was closed before an answer came, so it may or may not be stored.
 */
export type ErrorKind = "rejected" | "refused" | "full" | "closed" | "unknown";

/** What is known of a refusal. */
export interface ErrorDetails {
  /** The reason, as in `REJECTED`, such as `schema-violation`. */
  readonly reason?: string | undefined;
  /** JSON pointer to the place: in the message for a schema violation, in the data for a missing value. */
  readonly pointer?: string | undefined;
  /** The HTTP status, and the code in the answer. */
  readonly status?: number | undefined;
  readonly code?: string | undefined;
}

/** An event that is not stored, and why. Save `event` to publish it later: its id makes it count once. */
export class PublishError extends Error {
  override readonly name = "PublishError";
  readonly kind: ErrorKind;
  readonly event: PublishedEvent;
  readonly reason: string | undefined;
  readonly pointer: string | undefined;
  readonly status: number | undefined;
  readonly code: string | undefined;

  constructor(kind: ErrorKind, event: PublishedEvent, message: string, details: ErrorDetails = {}) {
    super(`event ${event.type} ${JSON.stringify(event.id)} is not stored: ${message}`);
    this.kind = kind;
    this.event = event;
    this.reason = details.reason;
    this.pointer = details.pointer;
    this.status = details.status;
    this.code = details.code;
  }
}
