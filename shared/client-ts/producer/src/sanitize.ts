// What a catalog's `text` and `unknown` make of a rendered message, exactly as the projector does before it checks the schema.
import type { Path } from "./template.js";

/** What a text may contain: anything, no markup, or an address that runs nothing. */
export type TextRule = "raw" | "plain" | "url";

/** The members that a schema describes; where it lists none, all are kept. */
export interface Known {
  readonly members?: Readonly<Record<string, Known>>;
  readonly elements?: Known;
}

export interface Sanitizer {
  readonly known?: Known;
  readonly text?: TextRule;
  readonly members?: readonly (readonly [Path, TextRule])[];
}

type Step = string | number | null;
type Rule = readonly [steps: readonly Step[], rule: TextRule];

/** Where a browser goes instead of an address that it would run. */
const NOWHERE = "about:blank";
const SCHEMES = new Set(["http", "https", "mailto", "tel"]);

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The message as the catalog has it; what is given stays as it is. */
export function sanitized(sanitizer: Sanitizer, message: unknown): unknown {
  const kept = sanitizer.known === undefined ? message : keep(message, sanitizer.known);
  const { text, members = [] } = sanitizer;
  if (text === undefined && members.length === 0) return kept;
  return clean(kept, text ?? "raw", members.map(([path, rule]) => [[path.root, ...path.steps], rule]));
}

function keep(value: unknown, known: Known): unknown {
  if (Array.isArray(value)) {
    const { elements } = known;
    return elements === undefined ? value : value.map((element) => keep(element, elements));
  }
  const { members } = known;
  if (!isObject(value) || members === undefined) return value;
  const kept = Object.entries(value).filter(([name]) => Object.hasOwn(members, name));
  return Object.fromEntries(kept.map(([name, member]) => [name, keep(member, members[name] ?? {})]));
}

/** Cleans a value by `rule`, and what is inside by the `rules` that lead there. Names of members count as text. */
function clean(value: unknown, inherited: TextRule, rules: readonly Rule[]): unknown {
  const rule = rules.find(([steps]) => steps.length === 0)?.[1] ?? inherited;
  const inside = (isNext: (step: Step) => boolean): Rule[] =>
    rules.flatMap(([[first, ...steps], next]) => (first !== undefined && isNext(first) ? [[steps, next] as const] : []));
  if (typeof value === "string") return cleanText(value, rule);
  if (Array.isArray(value)) {
    return value.map((element, index) => clean(element, rule, inside((step) => step === null || step === index)));
  }
  if (!isObject(value)) return value;
  const members = new Map<string, unknown>();
  for (const [name, member] of Object.entries(value)) {
    const cleaned = cleanText(name, rule === "url" ? "plain" : rule);
    // Where two names become the same, the first counts.
    if (!members.has(cleaned)) members.set(cleaned, clean(member, rule, inside((step) => step === name)));
  }
  return Object.fromEntries(members);
}

/** The text as the rule permits it. */
export function cleanText(text: string, rule: TextRule): string {
  if (rule === "raw") return text;
  const plain = withoutMarkup(text);
  if (rule === "plain") return plain;
  const scheme = schemeOf(plain);
  return scheme === undefined || SCHEMES.has(scheme) ? plain : NOWHERE;
}

/** What makes markup of a `<` before it. */
const BEGINS = /^[A-Za-z/!?]/;

/** Where markup begins behind this place; -1 if nowhere. */
function markup(text: string, from: number): number {
  for (let at = text.indexOf("<", from); at >= 0; at = text.indexOf("<", at + 1)) {
    if (BEGINS.test(text.charAt(at + 1))) return at;
  }
  return -1;
}

/** Removes markup up to its `>`. A `<` that nothing closes stays, with a space behind it, which makes it text. */
function withoutMarkup(text: string): string {
  const lastEnd = text.lastIndexOf(">");
  let cleaned = "";
  let from = 0;
  const push = (piece: string): void => {
    cleaned += cleaned.endsWith("<") && BEGINS.test(piece) ? ` ${piece}` : piece;
  };
  for (let at = markup(text, 0); at >= 0; at = markup(text, from)) {
    push(text.slice(from, at));
    if (at < lastEnd) {
      from = text.indexOf(">", at) + 1;
    } else {
      cleaned += "< ";
      from = at + 1;
    }
  }
  push(text.slice(from));
  return cleaned;
}

const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g;
/** White space as Unicode has it, which is not that of `trimStart`. */
const SPACE = /^[ \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;

/** The scheme of an address as a browser reads it: without control characters, and in lower case. */
function schemeOf(address: string): string | undefined {
  const found = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(address.replace(CONTROL, "").replace(SPACE, ""));
  return found?.[1]?.toLowerCase();
}
