// The trace in which an event is published, as W3C Trace Context: of OpenTelemetry, where the application has it.
//
// Its API registers itself under a symbol that all of its versions 1.x share, so that this package need not depend on it.

interface OpenTelemetry {
  readonly context?: { active(): unknown };
  readonly propagation?: { inject(context: unknown, carrier: Carrier, setter: Setter): void };
}

type Carrier = Record<string, string>;

interface Setter {
  set(carrier: Carrier, name: string, value: string): void;
}

const API = Symbol.for("opentelemetry.js.api.1");
const SETTER: Setter = {
  set: (carrier, name, value) => {
    carrier[name.toLowerCase()] = value;
  },
};

/** The `traceparent` of the span that is active here; `undefined` without one. */
export function activeTraceParent(): string | undefined {
  const { context, propagation } = (globalThis as { [API]?: OpenTelemetry })[API] ?? {};
  if (context === undefined || propagation === undefined) return undefined;
  const carrier: Carrier = {};
  try {
    propagation.inject(context.active(), carrier, SETTER);
  } catch {
    // What is wrong with a trace is no reason to lose an event.
    return undefined;
  }
  return carrier["traceparent"];
}
