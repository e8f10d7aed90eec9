// What the functions of a generated module share: one producer, made when the first event is published.
import type { Catalog } from "./catalog.js";
import type { EventOptions, PublishedEvent } from "./event.js";
import { type Options, Producer } from "./producer.js";
import type { Stored } from "./transport.js";

/** A producer that is made at its first use. */
export class SharedProducer<Events> {
  readonly #catalog: Catalog<Events>;
  #options: Options = {};
  #producer: Producer<Events> | undefined;

  constructor(catalog: Catalog<Events>) {
    this.#catalog = catalog;
  }

  /** Says how the producer is made; before the first event. */
  configure(options: Options): void {
    if (this.#producer !== undefined) throw new Error("the producer is in use; configure it before the first event");
    this.#options = options;
  }

  /** See `Producer.publish`. */
  async publish<Name extends keyof Events & string>(name: Name, data: Events[Name], options?: EventOptions): Promise<Stored> {
    return await this.get().publish(name, data, options);
  }

  /** See `Producer.enqueue`. */
  enqueue<Name extends keyof Events & string>(name: Name, data: Events[Name], options?: EventOptions): string {
    return this.get().enqueue(name, data, options);
  }

  /** See `Producer.flush`. */
  async flush(): Promise<void> {
    await this.#producer?.flush();
  }

  /** See `Producer.close`. The next event makes a new producer. */
  async close(within?: number): Promise<readonly PublishedEvent[]> {
    const producer = this.#producer;
    this.#producer = undefined;
    return (await producer?.close(within)) ?? [];
  }

  /** The producer itself. */
  get(): Producer<Events> {
    return (this.#producer ??= new Producer(this.#catalog, this.#options));
  }
}

export const sharedProducer = <Events>(catalog: Catalog<Events>): SharedProducer<Events> => new SharedProducer(catalog);

/** An event that lacks nothing but whom it is for. */
export interface Message<Kind extends string> {
  /** The kind of its addressee's address. */
  readonly to: Kind;
  readonly event: string;
  /** The member of the data that names the addressee. */
  readonly member: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export function addressed<Kind extends string>(to: Kind, event: string, member: string, data: Message<Kind>["data"]): Message<Kind> {
  return { to, event, member, data };
}

/** Publishes a message for this addressee. */
export function publishTo<Events>(producer: SharedProducer<Events>, id: string, message: Message<string>): Promise<Stored> {
  const data = { ...message.data, [message.member]: id };
  return producer.publish(message.event as keyof Events & string, data as Events[keyof Events & string]);
}
