// JSON Schema, by a kept library, with the same places as at the gateway.
import { type OutputUnit, type Schema, type SchemaDraft, Validator } from "@cfworker/json-schema";

/** What violates a schema, and where. */
export interface Violation {
  readonly pointer: string;
  readonly text: string;
}

/** Keywords that lead to another schema, whose own error follows and says more. */
const STEPS = new Set([
  "$ref", "$dynamicRef", "$recursiveRef", "properties", "patternProperties", "additionalProperties", "unevaluatedProperties",
  "dependentSchemas", "dependencies", "items", "prefixItems", "additionalItems", "unevaluatedItems", "contains", "allOf", "if",
  "then", "else",
]);

/** Keywords whose value is no schema, and those of which each member is one. */
const VALUES = new Set(["const", "enum", "default", "examples"]);
const NAMED = new Set(["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"]);

function draftOf(schema: unknown): SchemaDraft {
  const stated = typeof schema === "object" && schema !== null && "$schema" in schema ? String(schema.$schema) : "";
  if (stated.includes("draft-04")) return "4";
  if (stated.includes("draft-06") || stated.includes("draft-07")) return "7";
  return stated.includes("2019-09") ? "2019-09" : "2020-12";
}

/** The schema without `format`, which only informs in the later drafts. */
function withoutFormats(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withoutFormats);
  if (typeof schema !== "object" || schema === null) return schema;
  const keywords = Object.entries(schema).filter(([name]) => name !== "format");
  const inside = ([name, value]: [string, unknown]): [string, unknown] => {
    if (VALUES.has(name)) return [name, value];
    if (!NAMED.has(name) || typeof value !== "object" || value === null) return [name, withoutFormats(value)];
    return [name, Object.fromEntries(Object.entries(value).map(([member, one]) => [member, withoutFormats(one)]))];
  };
  return Object.fromEntries(keywords.map(inside));
}

/** `#/data/first%20name` as a JSON pointer. */
const pointerOf = (location: string): string => decodeURI(location.replace(/^#/, ""));

/** The first error that does not merely lead to another one. */
function first(errors: readonly OutputUnit[]): OutputUnit | undefined {
  const found = errors.findIndex((error) => !STEPS.has(error.keyword));
  const error = errors[found];
  // What a schema `false` forbids is said of the value that has it.
  return error?.keyword === "false" ? (errors[found - 1] ?? error) : (error ?? errors[errors.length - 1]);
}

/** Returns what finds the first violation of a schema. Of a schema that cannot be read here, the gateway judges alone. */
export function validator(schema: unknown): (value: unknown) => Violation | undefined {
  let violation: ReturnType<typeof unguarded> | undefined;
  return (value) => {
    try {
      violation ??= unguarded(schema);
      return violation(value);
    } catch {
      return undefined;
    }
  };
}

function unguarded(schema: unknown): (value: unknown) => Violation | undefined {
  const draft = draftOf(schema);
  const formatsCount = draft === "4" || draft === "7";
  const compiled = new Validator((formatsCount ? schema : withoutFormats(schema)) as Schema | boolean, draft, true);
  return (value) => {
    const { valid, errors } = compiled.validate(value);
    const error = valid ? undefined : first(errors);
    return valid ? undefined : { pointer: pointerOf(error?.instanceLocation ?? ""), text: error?.error ?? "it is not valid" };
  };
}
