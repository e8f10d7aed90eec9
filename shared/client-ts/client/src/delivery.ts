/**
 * From frames to the application and back to acknowledgements.
 *
 * Things are handled one after another, in order. When a connection ends, what waits is dropped, and the next connection
 * resumes after what was handled or is being handled: so nothing comes twice, and nothing is left out.
 */

import { type Delivery, type Draft, clearTimers, send, setTimer } from "./machine.js";
import { seqOf } from "./protocol.js";

/** Acknowledgements are collected for so many milliseconds. */
const ACK_DELAY = 200;

/** Puts something behind what waits; `false`, if too much waits. */
export function enqueue(draft: Draft, delivery: Delivery): boolean {
  const { current, queue, settings } = draft;
  if (!current) {
    begin(draft, delivery);
    return true;
  }
  draft.queue = [...queue, delivery];
  return draft.queue.length <= settings.maxQueued;
}

function begin(draft: Draft, delivery: Delivery): void {
  draft.current = delivery;
  draft.effects.push({ kind: "deliver", delivery });
}

/** The application has handled what it was given: the next one, and an acknowledgement. */
export function handled(draft: Draft, delivery: Delivery): void {
  // A delivery to another user, who has logged out meanwhile.
  if (delivery !== draft.current) return;
  draft.handled = delivery.position;
  draft.current = undefined;
  if (delivery.kind !== "mark" && delivery.socket === draft.socket && draft.isConnected) {
    draft.ack = seqOf(delivery.position);
    if (delivery.kind === "gap") flushAck(draft);
    else if (draft.timers.ack === undefined) setTimer(draft, "ack", ACK_DELAY);
  }
  const [next, ...rest] = draft.queue;
  draft.queue = rest;
  if (next) begin(draft, next);
}

/** Acknowledges what was handled. */
export function flushAck(draft: Draft): void {
  clearTimers(draft, "ack");
  if (draft.ack >= 0) send(draft, { action: "ack", seq: draft.ack });
  draft.ack = -1;
}

/** After which position the next connection begins. */
export const resumeAfter = (draft: Draft): string => draft.current?.position ?? draft.handled;

/** The connection has ended: what waits comes again. */
export function dropQueue(draft: Draft): void {
  draft.queue = [];
  draft.ack = -1;
  draft.epoch = "";
}
