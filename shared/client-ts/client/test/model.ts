/**
 * A gateway as its document describes it, in memory, with connections that break in every way. It keeps one user's messages:
 * a log with an epoch, from which retention takes the oldest, that may move to another shard or be made anew.
 */

import type { Socket } from "../src/index.js";
import type { Chance, World } from "./world.js";

export interface Stored {
  readonly id: string;
  readonly body: Readonly<Record<string, unknown>>;
}

type Frame = Record<string, unknown>;

/** A position in the log: its epoch, and how many messages of it lie before. */
const printed = (epoch: number, seq: number) => `${epoch.toString(16)}-${String(seq)}`;

export class Gateway {
  /** Every message that was ever stored, in order. */
  readonly log: Stored[] = [];
  readonly publications: string[] = [];
  readonly topics = new Map<string, string>();
  /** The tokens that connections showed, first or later. */
  readonly tokens: string[] = [];
  readonly handshakes: URL[] = [];
  readonly acknowledged: number[] = [];
  readonly connections = new Set<Connection>();
  /** What connections do badly: 0 for nothing. */
  misfortune = 0;
  lifetime = 3_600_000;
  /** The codes and reasons with which the next handshakes are refused. */
  readonly refusals: [number, string][] = [];
  isUp = true;
  epoch = 1;
  /** The first message of each epoch, as an index into the log, and the sequence before it. */
  readonly #epochs = new Map([[1, { first: 0, before: 0 }]]);
  /** How many messages retention has removed. */
  removed = 0;
  /** Where the device stands: an index into the log; nothing, before its first visit. */
  #stands: number | undefined;
  readonly #ids = new Map<string, string>();
  readonly #world: World;
  readonly #chance: Chance;

  constructor(world: World, chance: Chance) {
    this.#world = world;
    this.#chance = chance;
  }

  readonly connect = (url: string, protocols: string[]): Socket => {
    const at = new URL(url);
    this.handshakes.push(at);
    return new Connection(this, this.#world, this.#chance, at, protocols);
  };

  get timestamp(): string {
    return new Date(this.#world.now).toISOString();
  }

  /** Stores a message and sends it to every connection. */
  store(body: Stored["body"], id = `e${String(this.log.length)}`): void {
    this.log.push({ id, body });
    for (const connection of this.connections) connection.catchUp();
  }

  /** The tenant moves: the same messages from here on in another epoch, with higher sequences. */
  move(): void {
    const before = 1000 * this.epoch + this.#chance.below(100);
    this.epoch += 1;
    this.#epochs.set(this.epoch, { first: 0, before });
    for (const connection of [...this.connections]) connection.end(1001);
  }

  /** The stream is made anew: what was in it is gone. */
  recreate(): void {
    this.epoch += 1;
    this.#epochs.clear();
    this.#epochs.set(this.epoch, { first: this.log.length, before: 0 });
    this.removed = this.log.length;
    for (const connection of [...this.connections]) connection.end(1001);
  }

  position(index: number): string {
    const { first, before } = this.#epochs.get(this.epoch) ?? { first: 0, before: 0 };
    return printed(this.epoch, index - first + before);
  }

  seq(index: number): number {
    return Number(this.position(index).split("-")[1]);
  }

  indexOf(seq: number): number {
    const { first, before } = this.#epochs.get(this.epoch) ?? { first: 0, before: 0 };
    return seq - before + first;
  }

  /** Where a connection begins, and what it is told of a gap. */
  resume(since: string | null): { index: number; gap: Frame | undefined } {
    const given = /^([0-9a-f]+)-(\d+)$/.exec(since ?? "");
    if (!given) {
      const index = this.#stands ?? this.log.length;
      const from = Math.max(index, this.removed);
      return { index: from, gap: from > index ? this.#gap(since ?? "1-0", from, "retention") : undefined };
    }
    const epoch = this.#epochs.get(parseInt(given[1] ?? "", 16));
    if (!epoch) return { index: this.removed, gap: this.#gap(since ?? "", this.removed, "epoch") };
    const index = Number(given[2]) - epoch.before + epoch.first;
    if (index < this.removed) return { index: this.removed, gap: this.#gap(since ?? "", this.removed, "retention") };
    return { index, gap: undefined };
  }

  #gap(from: string, to: number, reason: string): Frame {
    return { action: "gap", from, to: this.position(to), reason, timestamp: this.timestamp };
  }

  welcome(index: number): void {
    this.#stands ??= index;
  }

  acknowledge(seq: number): void {
    this.acknowledged.push(seq);
    this.#stands = Math.max(this.#stands ?? 0, this.indexOf(seq));
  }

  /** Stores a publication, once for its id. */
  publish(id: string, body: Stored["body"]): string {
    const known = this.#ids.get(id);
    if (known) return known;
    const event = `user/${id}`;
    this.#ids.set(id, event);
    this.publications.push(id);
    this.store(body, event);
    return event;
  }
}

/** One connection, and the socket that the client sees of it. */
export class Connection implements Socket {
  onopen: Socket["onopen"] = null;
  onmessage: Socket["onmessage"] = null;
  onclose: Socket["onclose"] = null;
  onerror: Socket["onerror"] = null;
  /** Whether nothing comes through any more, without anybody noticing. */
  isSilent = false;
  #isOpen = false;
  #isOver = false;
  #sent = 0;
  /** When the last frame arrives, in either direction: none overtakes another. */
  #arrives = 0;
  #arrivesThere = 0;
  readonly received: Frame[] = [];

  constructor(
    readonly gateway: Gateway,
    readonly world: World,
    readonly chance: Chance,
    readonly url: URL,
    readonly protocols: string[],
  ) {
    world.setTimeout(() => {
      this.#open();
    }, this.#delay());
  }

  #delay(): number {
    return this.chance.below(20 + 200 * this.gateway.misfortune);
  }

  #open(): void {
    const { gateway } = this;
    if (this.#isOver) return;
    const refusal = gateway.refusals.shift();
    if (refusal) {
      this.#isOpen = true;
      return this.end(...refusal);
    }
    if (!gateway.isUp || this.chance.is(0.3 * gateway.misfortune)) return this.end(1006);
    this.#isOpen = true;
    this.isSilent = this.chance.is(0.1 * gateway.misfortune);
    gateway.connections.add(this);
    gateway.tokens.push(this.protocols.find((name) => name.startsWith("bearer."))?.slice(7) ?? "");
    this.#toClient(() => this.onopen?.(undefined as never));
    const { index, gap } = gateway.resume(this.url.searchParams.get("since"));
    gateway.welcome(index);
    this.#sent = index;
    this.tell({ action: "welcome", position: gateway.position(index), consumer: "user/d", expires: this.#expires() });
    if (gap) this.tell(gap);
    this.catchUp();
    this.tell({ action: "caught_up", position: gateway.position(this.#sent) });
  }

  #expires(): string {
    return new Date(this.world.now + this.gateway.lifetime).toISOString();
  }

  /** Sends what is new. */
  catchUp(): void {
    for (const { id, body } of this.gateway.log.slice(this.#sent)) {
      this.#sent += 1;
      const seq = this.gateway.seq(this.#sent);
      this.#text(`{"seq":${String(seq)},"id":${JSON.stringify(id)},${JSON.stringify(body).slice(1)}`);
    }
  }

  tell(frame: Frame): void {
    this.#text(JSON.stringify({ ...frame, timestamp: this.gateway.timestamp }));
  }

  #text(text: string): void {
    this.#toClient(() => this.onmessage?.({ data: text } as never));
    if (this.chance.is(0.02 * this.gateway.misfortune)) this.end(this.chance.of([1001, 1006, 1011, 1013, 4001, 4003, 4005]));
  }

  #toClient(run: () => void): void {
    if (this.isSilent || this.#isOver) return;
    this.#arrives = Math.max(this.#arrives, this.world.now + this.#delay());
    this.world.setTimeout(() => {
      if (!this.#isOver && !this.isSilent) run();
    }, this.#arrives - this.world.now);
  }

  /** Ends it; what was on its way in either direction is lost, or arrives before. */
  end(code: number, reason = ""): void {
    if (this.#isOver) return;
    const over = () => {
      if (this.#isOver) return;
      this.#isOver = true;
      this.onclose?.({ code, reason } as never);
    };
    this.gateway.connections.delete(this);
    if (this.chance.is(0.5)) over();
    else this.world.setTimeout(over, Math.max(this.#arrives - this.world.now, 0));
  }

  send(text: string): void {
    if (!this.#isOpen) throw new Error("the socket is not open");
    if (this.isSilent || this.#isOver) return;
    this.#arrivesThere = Math.max(this.#arrivesThere, this.world.now + this.#delay());
    this.world.setTimeout(() => {
      if (this.gateway.connections.has(this)) this.#receive(JSON.parse(text) as Frame);
    }, this.#arrivesThere - this.world.now);
  }

  close(): void {
    this.#isOver = true;
    this.gateway.connections.delete(this);
  }

  #receive(frame: Frame): void {
    this.received.push(frame);
    const answer = { original_message_id: frame["id"] };
    const { gateway } = this;
    if (frame["action"] !== "ack" && this.chance.is(0.1 * gateway.misfortune)) {
      const code = this.chance.of(["UNAVAILABLE", "RATE_LIMITED", "INTERNAL"]);
      if (this.chance.is(0.5)) this.#serve(frame, answer, true);
      return this.refuse(code, frame["id"], { retry_after_ms: 1500 });
    }
    this.#serve(frame, answer, false);
  }

  refuse(code: string, id: unknown, details: Frame = {}): void {
    this.tell({ type: "error", action: "created", data: { code, message: code, original_message_id: id, ...details } });
  }

  #serve(frame: Frame, answer: Frame, isMute: boolean): void {
    const { gateway } = this;
    const tell = (told: Frame) => {
      if (!isMute) this.tell({ ...told, ...answer });
    };
    const topics = (frame["topics"] ?? []) as string[];
    switch (frame["action"]) {
      case "ping":
        return tell({ action: "pong" });
      case "ack":
        return gateway.acknowledge(Number(frame["seq"]));
      case "authenticate":
        if (isMute) return;
        gateway.tokens.push(String(frame["token"]));
        return tell({ action: "authenticated", expires: this.#expires() });
      case "subscribe": {
        if (topics.includes("forbidden")) return isMute ? undefined : this.refuse("FORBIDDEN", frame["id"]);
        for (const topic of topics) gateway.topics.set(topic, JSON.stringify(frame["filters"]));
        return tell({ action: "subscribed", topics: [...gateway.topics.keys()] });
      }
      case "unsubscribe":
        for (const topic of topics) gateway.topics.delete(topic);
        return tell({ action: "unsubscribed", topics: [...gateway.topics.keys()] });
      case "progress":
        if (isMute) return;
        if (frame["docId"] === "none") return this.refuse("NOT_FOUND", frame["id"]);
        return this.#text(JSON.stringify({ ...answer, status: "progress", docId: frame["docId"] }));
      case "say": {
        const id = gateway.publish(String(frame["id"]), { type: "said", text: frame["text"] });
        return tell({ action: "published", id });
      }
      default:
        return this.refuse("UNKNOWN_ACTION", frame["id"]);
    }
  }
}
