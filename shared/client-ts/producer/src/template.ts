// Templates of a catalog: they look for values in an event, exactly as the projector does.

/** A path to values; `null` among its steps stands for every element of a list. */
export interface Path {
  readonly path: string;
  readonly root: string;
  readonly steps: readonly (string | number | null)[];
  readonly pointer?: string;
  readonly optional?: boolean;
  readonly without_nulls?: boolean;
}

export type Text = readonly (string | Path)[];

/** A JSON value with places in it. */
export type Template =
  | { readonly value: unknown }
  | { readonly place: Path }
  | { readonly text: Text }
  | { readonly object: readonly (readonly [string, Template])[] }
  | { readonly array: readonly Template[] };

/** The values that paths start from. */
export type Scope = Readonly<Record<string, unknown>>;

/** What a text is for: a name makes nothing of empty text, and an attribute has a value for each element of a list. */
export type Use = "name" | "attribute" | "body";

/** A place without a value. */
export class Unresolved extends Error {
  constructor(
    what: string,
    readonly path: Path,
  ) {
    super(`${what} at ${path.path}`);
  }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function step(value: unknown, step: string | number | null): unknown[] {
  if (step === null) return Array.isArray(value) ? value : [];
  if (typeof step === "number") return Array.isArray(value) && step < value.length ? [value[step]] : [];
  return isObject(value) && Object.hasOwn(value, step) ? [value[step]] : [];
}

const mayFindNothing = (path: Path): boolean => path.optional === true || path.steps.includes(null);

/** All values at the path: at most one, unless it goes through every element of a list. */
export function find(path: Path, scope: Scope): unknown[] {
  const root = scope[path.root];
  let found: unknown[] = root === undefined ? [] : [root];
  for (const next of path.steps) found = found.flatMap((value) => step(value, next));
  return mayFindNothing(path) ? found.filter((value) => value !== null) : found;
}

const elements = (value: unknown, use: Use): unknown[] =>
  use === "attribute" && Array.isArray(value) ? value.filter((element) => element !== null) : [value];

function asText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : undefined;
}

/** The texts that the values make: several if a path finds several, none if an optional one finds nothing. */
export function texts(template: Text, scope: Scope, use: Use): string[] {
  let made = [""];
  for (const piece of template) {
    if (typeof piece === "string") {
      made = made.map((text) => text + piece);
      continue;
    }
    const values = find(piece, scope).flatMap((value) => elements(value, use));
    if (values.length === 0 && !mayFindNothing(piece)) throw new Unresolved("there is nothing", piece);
    const fills = values.map((value) => {
      const text = asText(value);
      if (text === undefined) throw new Unresolved("there is no text, number or boolean", piece);
      return text;
    });
    const kept = mayFindNothing(piece) && use !== "body" ? fills.filter((text) => text !== "") : fills;
    made = made.flatMap((text) => kept.map((fill) => text + fill));
  }
  return made;
}

/** The use of an attribute's text: only where it has one place, each element of a list counts. */
export const attributeUse = (template: Text): Use =>
  template.filter((piece) => typeof piece !== "string").length === 1 ? "attribute" : "name";

const withoutNulls = (value: unknown): unknown =>
  isObject(value) ? Object.fromEntries(Object.entries(value).filter(([, member]) => member !== null)) : value;

/** Fills every place; `undefined` if the whole is an optional one that finds nothing. */
export function render(template: Template, scope: Scope): unknown {
  if ("value" in template) return template.value;
  if ("text" in template) return texts(template.text, scope, "body")[0];
  if ("place" in template) {
    const { place } = template;
    const [value] = find(place, scope);
    if (value === undefined && place.optional !== true) throw new Unresolved("there is nothing", place);
    return place.without_nulls === true ? withoutNulls(value) : value;
  }
  if ("array" in template) return template.array.map((one) => render(one, scope)).filter((one) => one !== undefined);
  const members = template.object.map(([name, member]) => [name, render(member, scope)] as const);
  return Object.fromEntries(members.filter(([, value]) => value !== undefined));
}

/** Whether two JSON values are the same. */
export function isSame(one: unknown, other: unknown): boolean {
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((element, index) => isSame(element, other[index]));
  }
  if (isObject(one) && isObject(other)) {
    const names = Object.keys(one);
    const has = (name: string): boolean => Object.hasOwn(other, name) && isSame(one[name], other[name]);
    return names.length === Object.keys(other).length && names.every(has);
  }
  return one === other;
}
