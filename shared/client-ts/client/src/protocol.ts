/**
 * What goes over the wire: positions, frames from the gateway, what a token says. Pure.
 *
 * A message's own members are never touched: `seq`, `id` and `original_message_id` are cut off from where the gateway has put
 * them, so a body may have members of the same names.
 */

/** A filter narrows a topic: for each attribute the values that pass. */
export type Filters = Readonly<Record<string, string | readonly string[]>>;

/** What lies between two positions cannot be delivered: fetch what is shown from its source. */
export interface Gap {
  readonly from: string;
  readonly to: string;
  readonly reason: string;
}

/** The error codes of the gateway, and those with which the client itself rejects. */
export class TidingsError extends Error {
  override readonly name = "TidingsError";

  constructor(
    /** `FORBIDDEN`, `NOT_FOUND` and so on, or the client's own: `CLOSED`, `TIMEOUT`, `OUTBOX_FULL`, `UNCERTAIN`. */
    readonly code: string,
    message: string,
    /** What the gateway says besides, such as `reason` and `pointer`. */
    readonly details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
  }
}

type Members = Readonly<Record<string, unknown>>;

/** What the gateway sends. */
export type Frame =
  | { readonly kind: "message"; readonly seq: string; readonly id: string; readonly body: unknown }
  | { readonly kind: "control"; readonly action: string; readonly members: Members }
  | { readonly kind: "error"; readonly error: TidingsError; readonly to: string; readonly wait: number }
  | { readonly kind: "answer"; readonly to: string; readonly body: unknown };

const HEAD = /^\{"(?:seq":(\d+),"id|original_message_id)":("(?:[^"\\]|\\.)*"),?/;

/** Reads a frame. A message begins with its `seq`, the answer to a request with the id of that; all else is about the connection. */
export function readFrame(text: string): Frame {
  const head = HEAD.exec(text);
  if (head) {
    const body: unknown = JSON.parse("{" + text.slice(head[0].length));
    const [, seq, quoted = ""] = head;
    const id = textOf(JSON.parse(quoted));
    return seq ? { kind: "message", seq, id, body } : { kind: "answer", to: id, body };
  }
  const body: unknown = JSON.parse(text);
  const members = membersOf(body);
  const action = textOf(members["action"]);
  const data = membersOf(members["data"]);
  if (members["type"] === "error" && action === "created" && textOf(data["code"])) {
    const { code, message, original_message_id: to, ...details } = data;
    const error = new TidingsError(textOf(code), textOf(message), details);
    return { kind: "error", error, to: textOf(to), wait: Number(details["retry_after_ms"] ?? 0) };
  }
  return { kind: "control", action, members };
}

/** The members of an object; none, if it is something else. */
export const membersOf = (value: unknown): Members =>
  typeof value === "object" && value !== null ? (value as Members) : {};

/** A string; an empty one, if it is something else. */
export const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

/** Whether this is a position in the stream of messages: an epoch and a sequence, such as `18f3a0c2b41-42`. */
export const isPosition = (text: string): boolean => /^[0-9a-f]+-\d+$/.test(text);

/** The sequence of a position. */
export const seqOf = (position: string): number => Number(position.split("-")[1]);

/** The claims of a JSON Web Token, unverified; none, if it cannot be read. */
export function claimsOf(token: string): Members {
  try {
    const payload = token.split(".")[1] ?? "";
    return membersOf(JSON.parse((globalThis as unknown as { atob(text: string): string }).atob(payload.replace(/-/g, "+").replace(/_/g, "/"))));
  } catch {
    return {};
  }
}
