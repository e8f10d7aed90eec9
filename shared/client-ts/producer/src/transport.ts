// What carries events to Tidings. A transport sends; the producer keeps, orders and repeats.
import type { ErrorDetails, ErrorKind } from "./error.js";
import type { OutgoingEvent } from "./event.js";

/** A stored event. */
export interface Stored {
  readonly id: string;
  /** Its sequence in the stream `EVENTS`. */
  readonly sequence: number;
  /** Whether it was stored before. */
  readonly duplicate: boolean;
}

/** An event that is not taken, however often it is sent. */
export interface Refusal extends ErrorDetails {
  readonly kind: Extract<ErrorKind, "rejected" | "refused">;
  readonly message: string;
}

/** What has become of an event; `undefined` where it is to be sent again. */
export type Outcome = { readonly stored: Stored } | { readonly refusal: Refusal } | undefined;

export interface Transport {
  /**
   * Sends events, in order: none is stored unless all before it are stored or refused. Resolves with an outcome for each, of
   * which at least one is known. Throws where nothing is known; then all are sent again.
   */
  send(events: readonly OutgoingEvent[], signal: AbortSignal): Promise<readonly Outcome[]>;
  close(): Promise<void>;
}

/** Nothing is known of what was sent; send it again, not before `after` milliseconds. */
export class Unavailable extends Error {
  override readonly name = "Unavailable";

  constructor(
    message: string,
    readonly after = 0,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
