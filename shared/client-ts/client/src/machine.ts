/**
 * The state of a client, what happens to it, and what it asks for.
 *
 * `reduce` (in `reduce.ts`) takes a machine and an input and returns the next machine and effects; it has no clock, no timers
 * and no randomness of its own. So all of it can be driven through years of faults in a second.
 */

import type { Frame, Gap, TidingsError } from "./protocol.js";
import type { Reconnect } from "./reconnect.js";

/** What an application sees of the connection. */
export type State =
  | { readonly name: "connecting" }
  | { readonly name: "catching-up" }
  | { readonly name: "live" }
  /** The next attempt begins at `until` (milliseconds since 1970), or earlier if the network comes back. */
  | { readonly name: "waiting"; readonly reason: WaitReason; readonly code: number; readonly until: number }
  /** `code` is the WebSocket's close code, or 0 if there was none. */
  | { readonly name: "closed"; readonly reason: CloseReason; readonly code: number };

/**
 * Why the client waits: the token callback failed; the handshake failed; the connection broke; it was silent; the gateway
 * closed it (`code` says why); it moves to another gateway; the handlers are too far behind.
 */
export type WaitReason = "token" | "refused" | "lost" | "silent" | "closed" | "moved" | "behind";

/** Why the client stays closed: the application; no good token; too many failed attempts; a code that says so. */
export type CloseReason = "application" | "unauthorized" | "attempts" | "code";

export interface Settings {
  readonly reconnect: Reconnect;
  /** Milliseconds of silence after which the client asks whether the gateway is there. */
  readonly heartbeat: number;
  /** Milliseconds in which an answer to that must come, and in which a connection must open. */
  readonly patience: number;
  /** Messages that wait for their handlers; beyond, the client disconnects until they are done. */
  readonly maxQueued: number;
  /** Requests and publications that wait for their answers. */
  readonly maxOutbox: number;
  /** Milliseconds within which a repeated publication counts once. */
  readonly duplicateWindow: number;
}

/** Something to be handled, in order. */
export type Delivery = {
  /** The place after it, once it is handled. */
  readonly position: string;
  /** The connection that brought it. */
  readonly socket: number;
} & (
  | { readonly kind: "message"; readonly id: string; readonly body: unknown }
  | { readonly kind: "gap"; readonly gap: Gap }
  | { readonly kind: "mark" }
);

/** A message to the gateway that is to be answered. */
export interface Request {
  readonly id: string;
  readonly kind: "route" | "publish";
  readonly frame: Readonly<Record<string, unknown>>;
  /** When it is given up. */
  readonly deadline: number;
  /** When it was sent first; 0, if it was not. */
  readonly firstSent: number;
  /** Whether it was sent on this connection. */
  readonly isSent: boolean;
}

/** Topics by name, with their filters as JSON: what is wanted, or what this connection was asked for. */
export type Topics = Readonly<Record<string, string>>;

/** What the application has handled, as stored. */
export interface Stored {
  /** Whose place it is. */
  readonly key: string;
  /** Empty, if there is none. */
  readonly position: string;
  readonly device: string;
}

export type TimerName = "retry" | "opening" | "ping" | "silence" | "ack" | "refresh" | "stable" | "drain" | "requests";

export interface Machine {
  readonly settings: Settings;
  readonly state: State;
  /** The number of the last connection. */
  readonly socket: number;
  /** Whether that connection is there. */
  readonly isConnected: boolean;
  /** Whether the gateway has said welcome on it. */
  readonly isWelcome: boolean;
  /** The number of the last time that a token was asked for; 0 while none is awaited. */
  readonly asking: number;
  readonly asked: number;
  readonly failures: number;
  readonly token: string;
  /** The token of which the gateway said that it is good no longer. */
  readonly deadToken: string;
  /** Whose positions these are. */
  readonly key: string;
  readonly device: string;
  /** The last position that was handled; empty, if there is none. */
  readonly handled: string;
  /** What precedes a sequence in the positions of this connection: its epoch and a hyphen. */
  readonly epoch: string;
  readonly queue: readonly Delivery[];
  /** What is being handled. */
  readonly current: Delivery | undefined;
  /** The sequence to acknowledge; -1, if there is none. */
  readonly ack: number;
  readonly wanted: Topics;
  /** What the gateway was asked for on this connection. */
  readonly subscribed: Topics;
  /** Topics to end as soon as there is a connection. */
  readonly ended: readonly string[];
  /** The topics that wait for an answer, by the message's id. */
  readonly asks: Readonly<Record<string, string>>;
  readonly requests: readonly Request[];
  /** Until when nothing is sent, as the gateway has said so. */
  readonly pausedUntil: number;
  /** The number of the last message to the gateway. */
  readonly sent: number;
  readonly timers: Readonly<Partial<Record<TimerName, number>>>;
}

export type Input =
  | { readonly kind: "open" }
  | { readonly kind: "close" }
  | { readonly kind: "token"; readonly asking: number; readonly token: string | null; readonly stored: Stored }
  | { readonly kind: "no-token"; readonly asking: number }
  | { readonly kind: "opened"; readonly socket: number }
  | { readonly kind: "frame"; readonly socket: number; readonly frame: Frame }
  /** The gateway may say after how many milliseconds to come again. */
  | { readonly kind: "lost"; readonly socket: number; readonly code: number; readonly after: number }
  | { readonly kind: "tick" }
  /** The network is back, or the page or device awake. */
  | { readonly kind: "awake" }
  /** What was delivered is handled, and its position stored. */
  | { readonly kind: "handled"; readonly delivery: Delivery }
  | { readonly kind: "topics"; readonly wanted: Topics }
  | { readonly kind: "request"; readonly request: Request };

export type Effect =
  | { readonly kind: "ask-token"; readonly asking: number }
  | { readonly kind: "connect"; readonly socket: number; readonly token: string; readonly device: string; readonly since: string }
  | { readonly kind: "send"; readonly text: string }
  | { readonly kind: "disconnect" }
  | { readonly kind: "deliver"; readonly delivery: Delivery }
  /** The answer to a request, or an error. */
  | { readonly kind: "settle"; readonly id: string; readonly result: unknown }
  /** An error that belongs to no request, such as that of a topic that was refused. */
  | { readonly kind: "report"; readonly error: TidingsError };

/** What a reduction may use besides the machine. */
export interface Moment {
  readonly now: number;
  /** A number from 0 up to 1. */
  readonly random: () => number;
}

/** A client that was not opened yet. */
export const newMachine = (settings: Settings): Machine => ({
  settings,
  state: { name: "closed", reason: "application", code: 0 },
  socket: 0,
  isConnected: false,
  isWelcome: false,
  asking: 0,
  asked: 0,
  failures: 0,
  token: "",
  deadToken: "",
  key: "",
  device: "",
  handled: "",
  epoch: "",
  queue: [],
  current: undefined,
  ack: -1,
  wanted: {},
  subscribed: {},
  ended: [],
  asks: {},
  requests: [],
  pausedUntil: 0,
  sent: 0,
  timers: {},
});

/** A copy of a machine on its way to the next: its members are replaced, what they hold is never changed. */
export type Draft = { -readonly [Name in keyof Machine]: Machine[Name] } & {
  readonly effects: Effect[];
  readonly moment: Moment;
};

/** Sets a timer so many milliseconds from now. */
export function setTimer(draft: Draft, name: TimerName, after: number): void {
  draft.timers = { ...draft.timers, [name]: draft.moment.now + after };
}

/** Clears timers. */
export function clearTimers(draft: Draft, ...names: readonly TimerName[]): void {
  draft.timers = only(draft.timers, (name) => !names.includes(name as TimerName));
}

/** The part of a table whose names are kept. */
export const only = <Value>(
  table: Readonly<Record<string, Value>>,
  keeps: (name: string) => boolean,
): Readonly<Record<string, Value>> => Object.fromEntries(Object.entries(table).filter(([name]) => keeps(name)));

/** Sends a message to the gateway. */
export function send(draft: Draft, frame: Readonly<Record<string, unknown>>): void {
  draft.effects.push({ kind: "send", text: JSON.stringify(frame) });
}

/** The id of the next message to the gateway, never used on another connection of this client. */
export function nextId(draft: Draft, prefix: string): string {
  draft.sent += 1;
  return prefix + String(draft.sent);
}

/** When the next timer is due; nothing, if none runs. */
export function dueAt(machine: Machine): number | undefined {
  const times = Object.values(machine.timers);
  return times.length > 0 ? Math.min(...times) : undefined;
}
