/**
 * For proxies that hold event streams back: request after request, each of which brings what has come.
 *
 * A request begins behind what was acknowledged, and counts that as received. While something is not acknowledged, the next one
 * waits: it would bring the same again. What the client says goes with the next request, for which one that waits is given up.
 */

import type { Environment } from "./environment.js";
import { membersOf, seqOf, textOf } from "./protocol.js";
import { BROKEN, type Fetch, RequestSocket, globals } from "./request.js";

/** For how many seconds a request waits; proxies give up after more. */
const WAIT = 25;

export class PollSocket extends RequestSocket {
  readonly #setTimeout: Environment["setTimeout"];
  #outbox: string[] = [];
  /** What happens when the client has said or acknowledged something. */
  #wake: (isSaid: boolean) => void = () => undefined;
  /** Where the next request begins, and where it does when `#last` is acknowledged. */
  #after = "";
  #next = "";
  #last = -1;
  /** What was handed on. */
  #epoch = "";
  #seen = -1;
  #isLive = false;

  constructor(url: string, protocols: readonly string[], fetch: Fetch, setTimeout: Environment["setTimeout"]) {
    super(url, protocols, fetch);
    this.#setTimeout = setTimeout;
    void this.#run();
  }

  send(text: string): void {
    const { action, seq, token } = membersOf(JSON.parse(text));
    const isAck = action === "ack";
    if (isAck) this.#acknowledge(Number(seq));
    else this.#outbox.push(text);
    if (action === "authenticate") this.token = textOf(token);
    this.#wake(!isAck);
  }

  override close(): void {
    super.close();
    this.#wake(false);
  }

  #acknowledge(seq: number): void {
    const isAll = seq >= this.#last;
    this.#after = isAll ? this.#next : this.#epoch + String(seq);
    if (isAll) this.#last = -1;
  }

  async #run(): Promise<void> {
    try {
      while (!this.isOver) await this.#once();
    } catch {
      this.end(BROKEN, "");
    }
  }

  async #once(): Promise<void> {
    const isFirst = !this.#next;
    const said = this.#outbox;
    const isIdle = said.length === 0 && !isFirst;
    if (isIdle && this.#last >= 0) {
      await new Promise<unknown>((resolve) => (this.#wake = resolve));
      return;
    }
    this.#outbox = [];
    this.aborter = new globals.AbortController();
    const request = { isGivenUp: false };
    this.#wake = (isSaid) => {
      request.isGivenUp ||= isIdle && isSaid;
      if (request.isGivenUp) this.aborter.abort();
    };
    const query = (given: string) =>
      (this.#after ? given.replace(/&since=[^&]*/, "") + "&after=" + this.#after : given) + `&wait=${String(isIdle ? WAIT : 0)}`;
    try {
      const answer = await this.request("messages", query, `[${said.join()}]`);
      const { status, headers } = answer;
      if (!isFirst && (status === 429 || status === 503)) {
        this.#outbox.unshift(...said);
        const after = Number(headers.get("retry-after") ?? 1) * 1000;
        await new Promise<void>((resolve) => void this.#setTimeout(resolve, after));
        return;
      }
      if (status !== 200) {
        this.refused(answer);
        return;
      }
      const text = await answer.text();
      if (this.isOver) return;
      this.#next = headers.get("stream-next-offset") ?? "";
      if (isFirst) this.onopen?.(undefined as never);
      const items = text.slice(1, -1);
      for (const item of items ? items.split(",\n") : []) this.#item(item);
      if (this.#last < 0) this.#after = this.#next;
    } catch (error) {
      if (!request.isGivenUp) throw error;
    }
  }

  /** Hands an item on, unless it came before, or says nothing new of the connection. */
  #item(item: string): void {
    const [, seq, answers] = /^\{"(?:seq":(\d+)|(original_message_id)")/.exec(item) ?? [];
    if (seq) {
      if (Number(seq) <= this.#seen) return;
      this.#seen = this.#last = Number(seq);
    } else if (!answers) {
      const { action, position, to } = membersOf(JSON.parse(item));
      const place = textOf(position ?? to);
      const epoch = place.replace(/\d+$/, "");
      if (action === "draining" || (action === "caught_up" && this.#isLive)) return;
      if (action === "caught_up") this.#isLive = true;
      if (action === "welcome") {
        if (epoch === this.#epoch) return;
        this.#isLive = false;
        this.#seen = -1;
      }
      if (action === "gap") {
        if (epoch === this.#epoch && seqOf(place) <= this.#seen) return;
        this.#seen = this.#last = seqOf(place);
      }
      this.#epoch = epoch || this.#epoch;
    }
    if (!this.isOver) this.onmessage?.({ data: item } as never);
  }
}
