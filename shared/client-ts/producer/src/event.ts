// Events as they are sent. The text of an event is made once, so that each repetition says the same, under the same id.
import { activeTraceParent } from "./trace.js";

/** What may be said of an event besides its data. */
export interface EventOptions {
  /** Its id, by which it counts once within its source. Without one, a new one is made. */
  readonly id?: string;
  /** The CloudEvents subject: what within the source it is about. */
  readonly subject?: string;
  /** When it happened; without it, now. */
  readonly time?: Date;
  /** The trace that it belongs to, as W3C `traceparent`; without it, that of OpenTelemetry's active span. */
  readonly traceparent?: string;
}

/** An event that was given to a producer. */
export interface PublishedEvent {
  readonly id: string;
  readonly source: string;
  /** The event's name, `<entity>.<action>`. */
  readonly type: string;
  readonly time: string;
  readonly subject?: string;
  readonly data: unknown;
}

/** An event as a structured CloudEvent 1.0. */
export interface OutgoingEvent {
  readonly event: PublishedEvent;
  readonly text: string;
  /** The length of the text in UTF-8. */
  readonly bytes: number;
}

const encoder = new TextEncoder();

/** The length of a text in UTF-8. */
export const byteLength = (text: string): number => encoder.encode(text).length;

/** Makes an event. Throws what `JSON.stringify` throws of its data. */
export function outgoing(source: string, type: string, data: unknown, options: EventOptions): OutgoingEvent {
  const id = options.id ?? globalThis.crypto.randomUUID();
  const time = (options.time ?? new Date()).toISOString();
  const attributes = { id, source, type, time, ...(options.subject === undefined ? {} : { subject: options.subject }) };
  // `undefined` is no JSON.
  const json = (JSON.stringify(data) as string | undefined) ?? "null";
  const traceparent = options.traceparent ?? activeTraceParent();
  const trace = traceparent === undefined ? {} : { traceparent };
  const head = JSON.stringify({ specversion: "1.0", ...attributes, ...trace, datacontenttype: "application/json" });
  const text = `${head.slice(0, -1)},"data":${json}}`;
  return { event: { ...attributes, data: JSON.parse(json) as unknown }, text, bytes: byteLength(text) };
}
