/**
 * What the application tells the gateway: subscriptions, requests and publications.
 *
 * Subscriptions are a state: each connection is asked for what is wanted and not confirmed. Publications are sent one after
 * another, so that they are stored in their order, and again with the same id until they are answered.
 */

import { type Draft, type Request, type Topics, clearTimers, nextId, only, send, setTimer } from "./machine.js";
import { TidingsError } from "./protocol.js";

/** Requests that wait for their answers at a time; the gateway takes eight. */
const MOST_ROUTES = 8;
/** Milliseconds until a message is sent again that could not be served. */
const RETRY = 1000;

/** Errors after which the same message may succeed. */
const isPassing = (code: string): boolean => code === "UNAVAILABLE" || code === "INTERNAL" || code === "RATE_LIMITED";

/** Wants these topics and no others. */
export function want(draft: Draft, wanted: Topics): void {
  const gone = Object.keys(draft.wanted).filter((topic) => !(topic in wanted));
  draft.ended = [...new Set([...draft.ended, ...gone])].filter((topic) => !(topic in wanted));
  draft.subscribed = only(draft.subscribed, (topic) => topic in wanted);
  draft.wanted = wanted;
  flush(draft);
}

/** Sends what is to be sent, as far as the gateway takes it now. */
export function flush(draft: Draft): void {
  const { now } = draft.moment;
  expire(draft);
  if (draft.isConnected && draft.isWelcome && now >= draft.pausedUntil) {
    flushTopics(draft);
    flushRequests(draft);
  }
  const { pausedUntil, requests } = draft;
  const times = requests.map((request) => request.deadline).filter(Number.isFinite);
  if (pausedUntil > now) times.push(pausedUntil);
  clearTimers(draft, "requests");
  if (times.length > 0) setTimer(draft, "requests", Math.min(...times) - now);
}

/** One topic a message: one that is refused does not stand in the way of others. */
function flushTopics(draft: Draft): void {
  for (const topic of draft.ended) tell(draft, "unsubscribe", topic, {});
  draft.ended = [];
  for (const [topic, filters] of Object.entries(draft.wanted)) {
    if (draft.subscribed[topic] === filters) continue;
    draft.subscribed = { ...draft.subscribed, [topic]: filters };
    tell(draft, "subscribe", topic, { filters: JSON.parse(filters) as unknown });
  }
}

function tell(draft: Draft, action: string, topic: string, more: object): void {
  const id = nextId(draft, "~");
  draft.asks = { ...draft.asks, [id]: topic };
  send(draft, { action, id, topics: [topic], ...more });
}

function flushRequests(draft: Draft): void {
  const { now } = draft.moment;
  const isUnderWay = (kind: Request["kind"]) => draft.requests.filter((r) => r.kind === kind && r.isSent).length;
  for (const request of draft.requests) {
    if (request.isSent) continue;
    if (isUnderWay(request.kind) >= (request.kind === "publish" ? 1 : MOST_ROUTES)) continue;
    if (isUncertain(draft, request)) {
      reject(draft, request.id, "UNCERTAIN", "a repetition might count twice");
      continue;
    }
    send(draft, { ...request.frame, id: request.id });
    replace(draft, { ...request, isSent: true, firstSent: request.firstSent || now });
  }
}

/** Whether a repetition might be stored beside the first one. */
const isUncertain = (draft: Draft, { kind, firstSent }: Request): boolean =>
  kind === "publish" && firstSent > 0 && draft.moment.now - firstSent > draft.settings.duplicateWindow;

/** Takes a request, unless too many wait. */
export function addRequest(draft: Draft, request: Request): void {
  if (draft.state.name === "closed") {
    return reject(draft, request.id, "CLOSED", "the client is closed");
  }
  if (draft.requests.length >= draft.settings.maxOutbox) {
    return reject(draft, request.id, "OUTBOX_FULL", "maxOutbox is reached");
  }
  draft.requests = [...draft.requests, request];
  flush(draft);
}

function expire(draft: Draft): void {
  for (const request of draft.requests) {
    if (request.deadline <= draft.moment.now) reject(draft, request.id, "TIMEOUT", "no answer came");
  }
}

function replace(draft: Draft, changed: Request): void {
  draft.requests = draft.requests.map((request) => (request.id === changed.id ? changed : request));
}

/** A request has been answered; with an error, if `result` is one. */
export function settle(draft: Draft, id: string, result: unknown): void {
  draft.requests = draft.requests.filter((request) => request.id !== id);
  draft.effects.push({ kind: "settle", id, result });
}

function reject(draft: Draft, id: string, code: string, text: string): void {
  settle(draft, id, new TidingsError(code, text));
}

/** An error came; `to` is the id of the message that it answers. */
export function refused(draft: Draft, error: TidingsError, to: string, wait: number): void {
  const { now } = draft.moment;
  const passes = isPassing(error.code);
  if (passes) draft.pausedUntil = Math.max(draft.pausedUntil, now + Math.max(wait, RETRY));
  const request = draft.requests.find(({ id }) => id === to);
  const topic = draft.asks[to];
  confirmed(draft, to);
  if (request) {
    if (passes) replace(draft, { ...request, isSent: false });
    else settle(draft, to, error);
  } else if (topic !== undefined && passes) {
    draft.subscribed = only(draft.subscribed, (one) => one !== topic);
    if (!(topic in draft.wanted)) draft.ended = [...draft.ended, topic];
  } else if (!passes) {
    draft.effects.push({ kind: "report", error });
  }
  flush(draft);
}

/** A subscription, or the end of one, has been answered. */
export function confirmed(draft: Draft, id: string): void {
  draft.asks = only(draft.asks, (other) => other !== id);
}

/** The connection has ended: everything that was not answered is sent again on the next. */
export function unsend(draft: Draft): void {
  const unanswered = [...draft.ended, ...Object.values(draft.asks)];
  draft.ended = unanswered.filter((topic) => !(topic in draft.wanted));
  draft.asks = {};
  draft.subscribed = {};
  draft.pausedUntil = 0;
  draft.requests = draft.requests.map((request) => ({ ...request, isSent: false }));
}

/** The client stays closed: nothing is answered any more. */
export function rejectAll(draft: Draft): void {
  for (const { id } of draft.requests) reject(draft, id, "CLOSED", "the client is closed");
}
