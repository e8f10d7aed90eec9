// A catalog's checks: what the projector would reject is refused before it is sent, with the same reason and place.
import { type PublishedEvent, byteLength } from "./event.js";
import { type Sanitizer, sanitized } from "./sanitize.js";
import { type Violation, validator } from "./schema.js";
import { type Path, type Scope, type Template, type Text, Unresolved, attributeUse, find, isSame, render, texts } from "./template.js";

/** The longest message, key, id of an address, attribute's value and all of them, in bytes, and the most values of one. */
const MAX = { message: 128 * 1024, key: 512, id: 512, value: 256, values: 64, attributes: 16 * 256 };

interface Destination {
  readonly kind: string;
  readonly id?: Text;
  readonly when?: readonly (readonly [Path, unknown])[];
}

interface Message {
  readonly name: string;
  readonly events: readonly string[];
  readonly schema: unknown;
  readonly sanitize?: Sanitizer;
  readonly body: Template;
  readonly to: readonly Destination[];
  readonly key?: Text;
  readonly attributes?: readonly (readonly [string, Text])[];
}

/** Why the projector would reject an event. */
export interface Rejection {
  readonly reason: "unknown-event" | "missing-value" | "schema-violation" | "no-address" | "too-large";
  readonly text: string;
  readonly pointer?: string | undefined;
}

/** Thrown inside this file, where a rejection is found. */
class Rejected extends Error {
  constructor(readonly rejection: Rejection) {
    super(rejection.text);
  }
}

const reject = (reason: Rejection["reason"], text: string, pointer?: string): never => {
  throw new Rejected({ reason, text, pointer });
};

/** The checks of a tenant's catalog. `Events` has the data of each event by its name. */
export class Catalog<Events> {
  /** For the compiler alone. */
  declare readonly events?: Events;
  readonly tenant: string;
  readonly #byEvent = new Map<string, Message[]>();
  readonly #validators = new Map<Message, (message: unknown) => Violation | undefined>();

  constructor(checks: { readonly tenant: string; readonly messages: readonly Message[] }) {
    this.tenant = checks.tenant;
    for (const message of checks.messages) {
      for (const event of message.events) this.#byEvent.set(event, [...(this.#byEvent.get(event) ?? []), message]);
    }
  }

  /** Why the projector would reject the event, if it would. */
  check(event: PublishedEvent): Rejection | undefined {
    const messages = this.#byEvent.get(event.type);
    if (messages === undefined) {
      const text = `the catalog of tenant ${this.tenant} has no message for event ${event.type}`;
      return { reason: "unknown-event", text };
    }
    const [entity, action] = event.type.split(".");
    const { id, source, subject, time, data } = event;
    const scope: Scope = { id, source, entity, action, subject, time, data };
    try {
      for (const message of messages) this.#checkMessage(message, scope);
    } catch (error) {
      if (error instanceof Rejected) return error.rejection;
      if (error instanceof Unresolved) return { reason: "missing-value", text: error.message, pointer: error.path.pointer };
      throw error;
    }
    return undefined;
  }

  /** In the projector's order, which decides what is found first. */
  #checkMessage(message: Message, scope: Scope): void {
    const rendered = render(message.body, scope) ?? null;
    const body = message.sanitize === undefined ? rendered : sanitized(message.sanitize, rendered);
    const violation = this.#validator(message)(body);
    if (violation !== undefined) {
      const text = `message \`${message.name}\` at ${JSON.stringify(violation.pointer)}: ${violation.text}`;
      reject("schema-violation", text, violation.pointer);
    }
    checkLength(message, "the message", JSON.stringify(body), MAX.message);
    checkAddresses(message, scope);
    const [key] = message.key === undefined ? [] : texts(message.key, scope, "name");
    if (key !== undefined) checkLength(message, "`key`", key, MAX.key);
    checkAttributes(message, scope);
  }

  /** Compiled when it is first needed. */
  #validator(message: Message): (message: unknown) => Violation | undefined {
    const known = this.#validators.get(message) ?? validator(message.schema);
    this.#validators.set(message, known);
    return known;
  }
}

function checkLength(message: Message, what: string, text: string, max: number): void {
  const length = byteLength(text);
  if (length > max) reject("too-large", `${what} of message \`${message.name}\` has ${String(length)} bytes, more than ${String(max)}`);
}

function checkAddresses(message: Message, scope: Scope): void {
  const applies = ({ when = [] }: Destination): boolean =>
    when.every(([path, expected]) => isSame(find(path, scope)[0], expected));
  const reached = message.to.filter(applies).flatMap(({ kind, id }) => {
    const ids = id === undefined ? [kind] : texts(id, scope, "name");
    for (const one of ids) {
      if (one === "") reject("no-address", `the address ${kind}: has no id`);
      if (byteLength(one) > MAX.id) reject("no-address", `the id of an address ${kind}: has more than ${String(MAX.id)} bytes`);
    }
    return ids;
  });
  if (reached.length === 0) reject("no-address", `no destination of message \`${message.name}\` applies to this event`);
}

function checkAttributes(message: Message, scope: Scope): void {
  let bytes = 0;
  for (const [name, template] of message.attributes ?? []) {
    const values = texts(template, scope, attributeUse(template));
    if (values.length > MAX.values) reject("too-large", `attribute \`${name}\` has more than ${String(MAX.values)} values`);
    for (const value of values) checkLength(message, `\`${name}\``, value, MAX.value);
    bytes += values.reduce((sum, value) => sum + byteLength(value), 0);
  }
  if (bytes > MAX.attributes) reject("too-large", `the attributes of message \`${message.name}\` are too large`);
}

/** Reads the checks that `tidings types --lang ts --for producer` writes. */
export function parseCatalog<Events>(text: string): Catalog<Events> {
  return new Catalog<Events>(JSON.parse(text) as ConstructorParameters<typeof Catalog<Events>>[0]);
}
