/**
 * The types that `tidings types --lang ts` writes fill these: so a wrong topic, member or answer does not compile. Types alone.
 */

/** What a tenant's catalog permits its clients. */
export interface Catalog {
  /** Every message that a client may receive. */
  readonly message: unknown;
  /** For each topic, the attributes by which it can be filtered. */
  readonly topics: Readonly<Record<string, string>>;
  /** For each request its members, and the answer. */
  readonly routes: Readonly<Record<string, { readonly params: object; readonly answer: unknown }>>;
  /** Every message that a client may publish. */
  readonly publication: object;
}

/** A catalog of which nothing is known. */
export interface AnyCatalog extends Catalog {
  readonly message: Readonly<Record<string, unknown>>;
  readonly publication: Readonly<Record<string, unknown>>;
}

export type TopicOf<C extends Catalog> = keyof C["topics"] & string;

/** A filter of a topic: for each attribute, the values that pass. */
export type FiltersOf<C extends Catalog, T extends TopicOf<C>> = {
  readonly [Attribute in C["topics"][T]]?: string | readonly string[];
};

export type RouteOf<C extends Catalog> = keyof C["routes"] & string;

/** Any part of a value. */
export type Part<Value> = Value extends readonly unknown[]
  ? Value
  : Value extends object
    ? { readonly [Name in keyof Value]?: Part<Value[Name]> }
    : Value;

/** Those of the messages that may have these members. */
export type Matching<Message, Pattern> = Message extends unknown
  ? string extends keyof Message
    ? Message
    : keyof Pattern extends keyof Message
      ? Pattern extends Part<Message>
        ? Message
        : never
      : never
  : never;

/** A pattern that some message matches. */
export type PatternOf<Message, Pattern> = [Matching<Message, Pattern>] extends [never] ? Part<Message> : Pattern;
