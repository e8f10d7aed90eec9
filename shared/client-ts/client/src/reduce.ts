/** The next machine, and what it asks for. Pure: the same machine, input and moment always give the same. */

import { abandon, awake, begin, close, due, heard, lost, notRefreshed, open, refreshBefore, welcomed, withToken, withoutToken } from "./connection.js";
import { enqueue, handled } from "./delivery.js";
import { addRequest, confirmed, flush, refused, settle, want } from "./exchange.js";
import { type Draft, type Effect, type Input, type Machine, type Moment, setTimer } from "./machine.js";
import { type Frame, textOf } from "./protocol.js";

/** What a machine becomes by an input. */
export function reduce(machine: Machine, input: Input, moment: Moment): readonly [Machine, readonly Effect[]] {
  const draft: Draft = { ...machine, effects: [], moment };
  take(draft, input);
  const { effects, moment: _, ...next } = draft;
  return [next, effects];
}

function take(draft: Draft, input: Input): void {
  // What comes late, of a connection or of a token that is awaited no longer.
  if ("socket" in input && input.socket !== draft.socket) return;
  if ("asking" in input && input.asking !== draft.asking) return;
  switch (input.kind) {
    case "open":
      return open(draft);
    case "close":
      return close(draft, "application", 0);
    case "token":
      return withToken(draft, input.token, input.stored);
    case "no-token":
      return withoutToken(draft);
    case "opened":
      draft.isConnected = true;
      return heard(draft);
    case "frame":
      return received(draft, input.frame);
    case "lost":
      return lost(draft, input.code, input.after);
    case "tick":
      due(draft);
      return flush(draft);
    case "awake":
      return awake(draft);
    case "handled":
      handled(draft, input.delivery);
      if (isDone(draft)) begin(draft);
      return;
    case "topics":
      return want(draft, input.wanted);
    case "request":
      return addRequest(draft, input.request);
  }
}

/** Whether the handlers have done all for whose sake the client has disconnected. */
const isDone = ({ state, current }: Draft): boolean =>
  state.name === "waiting" && state.reason === "behind" && current === undefined;

function received(draft: Draft, frame: Frame): void {
  heard(draft);
  switch (frame.kind) {
    case "message": {
      const position = draft.epoch + frame.seq;
      return deliver(draft, { kind: "message", id: frame.id, body: frame.body, position, socket: draft.socket });
    }
    case "answer":
      settle(draft, frame.to, frame.body);
      return flush(draft);
    case "error":
      if (frame.to.startsWith("~t")) return notRefreshed(draft, frame.wait);
      return refused(draft, frame.error, frame.to, frame.wait);
    case "control":
      return controlled(draft, frame.action, frame.members);
  }
}

function deliver(draft: Draft, delivery: Parameters<typeof enqueue>[1]): void {
  if (!enqueue(draft, delivery)) abandon(draft, "behind");
}

function controlled(draft: Draft, action: string, members: Readonly<Record<string, unknown>>): void {
  const position = textOf(members["position"]);
  const answers = textOf(members["original_message_id"]);
  switch (action) {
    case "welcome":
      draft.epoch = position.replace(/\d+$/, "");
      refreshBefore(draft, members["expires"], members["timestamp"]);
      welcomed(draft);
      return flush(draft);
    case "caught_up":
      draft.state = { name: "live" };
      return deliver(draft, { kind: "mark", position, socket: draft.socket });
    case "gap": {
      const [from, to, reason] = [textOf(members["from"]), textOf(members["to"]), textOf(members["reason"])];
      return deliver(draft, { kind: "gap", gap: { from, to, reason }, position: to, socket: draft.socket });
    }
    case "authenticated":
      return refreshBefore(draft, members["expires"], members["timestamp"]);
    case "draining":
      return setTimer(draft, "drain", Number(members["reconnect_in_ms"] ?? 0) * draft.moment.random());
    case "subscribed":
    case "unsubscribed":
      return confirmed(draft, answers);
    case "published":
      settle(draft, answers, members["id"]);
      return flush(draft);
  }
}
