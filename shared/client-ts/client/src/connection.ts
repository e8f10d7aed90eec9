/** The life of connections: tokens, opening, losing, waiting, and noticing that nobody is there any more. */

import { dropQueue, flushAck, resumeAfter } from "./delivery.js";
import { rejectAll, unsend } from "./exchange.js";
import {
  type CloseReason,
  type Draft,
  type Stored,
  type WaitReason,
  clearTimers,
  nextId,
  send,
  setTimer,
} from "./machine.js";
import { consequenceOf, delayAfter } from "./reconnect.js";

/** The code of a connection that broke without a Close. */
const BROKEN = 1006;
/** A connection that lasts so many milliseconds has succeeded: the next failure counts as the first. */
const STABLE = 10_000;
/** Milliseconds over which clients that are moved spread, and those that come again for a token. */
const SPREAD = 1000;
/** Milliseconds until a token that could not be refreshed is asked for again. */
const REFRESH_AGAIN = 5000;

/** Connects, unless it has begun already. */
export function open(draft: Draft): void {
  if (draft.state.name !== "closed") return;
  draft.failures = 0;
  begin(draft);
}

/** Asks for a token, then connects with it. */
export function begin(draft: Draft): void {
  clearTimers(draft, "retry");
  draft.state = { name: "connecting" };
  askToken(draft);
  setTimer(draft, "opening", draft.settings.patience);
}

function askToken(draft: Draft): void {
  draft.asked += 1;
  draft.asking = draft.asked;
  draft.effects.push({ kind: "ask-token", asking: draft.asking });
}

/** The application has given a token: for a new connection, or for the one that is there. */
export function withToken(draft: Draft, token: string | null, stored: Stored): void {
  draft.asking = 0;
  if (draft.isConnected) return refresh(draft, token);
  if (token === null || (token !== "" && token === draft.deadToken)) return close(draft, "unauthorized", 0);
  if (stored.key !== draft.key) {
    draft.key = stored.key;
    draft.handled = stored.position;
    draft.current = undefined;
  }
  draft.device = stored.device;
  draft.token = token;
  draft.socket += 1;
  setTimer(draft, "opening", draft.settings.patience);
  const since = resumeAfter(draft);
  draft.effects.push({ kind: "connect", socket: draft.socket, token, device: draft.device, since });
}

/** Shows a fresh token on the connection that is there. */
function refresh(draft: Draft, token: string | null): void {
  if (token === null) return close(draft, "unauthorized", 0);
  // A cookie cannot be shown again; the next connection has the fresh one.
  if (token === "") return;
  if (token === draft.token) return setTimer(draft, "refresh", REFRESH_AGAIN);
  draft.token = token;
  send(draft, { action: "authenticate", id: nextId(draft, "~t"), token });
}

/** The gateway has not taken the fresh token. */
export function notRefreshed(draft: Draft, after: number): void {
  draft.token = "";
  setTimer(draft, "refresh", Math.max(after, REFRESH_AGAIN));
}

/** There is no token now, as the callback failed or takes too long. */
export function withoutToken(draft: Draft): void {
  draft.asking = 0;
  if (draft.isConnected) setTimer(draft, "refresh", REFRESH_AGAIN);
  else wait(draft, "token", 0, false);
}

/** The time at which to ask for the next token: when four fifths of this one's have passed. By the gateway's clock. */
export function refreshBefore(draft: Draft, expires: unknown, timestamp: unknown): void {
  const left = Date.parse(String(expires)) - Date.parse(String(timestamp));
  if (left > 0) setTimer(draft, "refresh", left * 0.8);
}

/** The gateway has taken the connection. */
export function welcomed(draft: Draft): void {
  clearTimers(draft, "opening");
  draft.isWelcome = true;
  setTimer(draft, "stable", STABLE);
  draft.state = { name: "catching-up" };
}

/** What is due now. */
export function due(draft: Draft): void {
  const { now } = draft.moment;
  const isDue = (name: keyof Draft["timers"]): boolean => {
    const at = draft.timers[name];
    if (at === undefined || at > now) return false;
    clearTimers(draft, name);
    return true;
  };
  if (isDue("retry")) begin(draft);
  if (isDue("opening")) {
    if (draft.asking > 0) withoutToken(draft);
    else abandon(draft, "refused");
  }
  if (isDue("silence")) abandon(draft, "silent");
  if (isDue("ping")) ping(draft);
  if (isDue("ack")) flushAck(draft);
  if (isDue("refresh") && draft.asking === 0) askToken(draft);
  if (isDue("stable")) draft.failures = 0;
  if (isDue("drain")) abandon(draft, "moved");
}

/** Something came: the gateway is there. */
export function heard(draft: Draft): void {
  clearTimers(draft, "silence");
  setTimer(draft, "ping", draft.settings.heartbeat);
}

function ping(draft: Draft): void {
  send(draft, { action: "ping", id: nextId(draft, "~p") });
  setTimer(draft, "silence", draft.settings.patience);
}

/** The network may be back: connect now, or look whether the connection is still there. */
export function awake(draft: Draft): void {
  if (draft.state.name === "waiting" && draft.state.reason !== "behind") begin(draft);
  else if (draft.isWelcome && draft.timers.silence === undefined) ping(draft);
}

/** Gives the connection up. */
export function abandon(draft: Draft, reason: WaitReason): void {
  disconnect(draft);
  wait(draft, reason, 0, reason === "moved" || reason === "behind");
}

function disconnect(draft: Draft): void {
  if (draft.isConnected) flushAck(draft);
  draft.effects.push({ kind: "disconnect" });
  leave(draft);
}

/** The connection has ended with this code; the next attempt is after so many milliseconds at the earliest. */
export function lost(draft: Draft, code: number, after: number): void {
  const { isWelcome, timers } = draft;
  leave(draft);
  const consequence = consequenceOf(code);
  if (consequence === "never") return close(draft, "code", code);
  let isSoon = consequence === "moved" || timers.drain !== undefined;
  if (consequence === "token") {
    draft.deadToken = draft.token;
    // At once, but not again and again.
    if (draft.failures === 0) [isSoon, draft.failures] = [true, 1];
  }
  wait(draft, code !== BROKEN ? "closed" : isWelcome ? "lost" : "refused", code, isSoon, after);
}

function leave(draft: Draft): void {
  draft.isConnected = false;
  draft.isWelcome = false;
  draft.asking = 0;
  // Whatever still comes of this connection is of no interest.
  draft.socket += 1;
  clearTimers(draft, "opening", "ping", "silence", "ack", "refresh", "stable", "drain");
  dropQueue(draft);
  unsend(draft);
}

/** Waits for the next attempt: soon, if nothing has failed. */
function wait(draft: Draft, reason: WaitReason, code: number, isSoon: boolean, after = 0): void {
  const { now, random } = draft.moment;
  if (!isSoon) draft.failures += 1;
  const planned = isSoon ? random() * SPREAD : delayAfter(draft.failures, draft.settings.reconnect, random);
  if (planned === undefined) return close(draft, "attempts", code);
  const delay = Math.max(planned, after);
  clearTimers(draft, "opening");
  // The handlers say when they are done.
  if (reason !== "behind") setTimer(draft, "retry", delay);
  draft.state = { name: "waiting", reason, code, until: now + delay };
}

/** Stays closed. */
export function close(draft: Draft, reason: CloseReason, code: number): void {
  if (draft.state.name === "closed") return;
  disconnect(draft);
  clearTimers(draft, "retry", "requests");
  draft.state = { name: "closed", reason, code };
  rejectAll(draft);
}
