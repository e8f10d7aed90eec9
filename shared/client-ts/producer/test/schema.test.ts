// What the verdicts do not show of schemas.
import assert from "node:assert/strict";
import { test } from "node:test";

import { validator } from "../src/schema.js";

test("in later drafts a format informs, and is also a name like any other", () => {
  const properties = { at: { format: "date-time" }, format: { const: "csv" }, one: { enum: [{ format: "x" }] } };
  const latest = validator({ properties });
  assert.equal(latest({ at: "soon", format: "csv", one: { format: "x" } }), undefined);
  assert.equal(latest({ format: "pdf" })?.pointer, "/format");
  assert.equal(latest({ one: { format: "y" } })?.pointer, "/one");
  const older = validator({ $schema: "http://json-schema.org/draft-07/schema#", properties });
  assert.equal(older({ at: "soon" })?.pointer, "/at");
});

test("of a schema that cannot be read here, the gateway judges alone", () => {
  assert.equal(validator({ pattern: "(?>x)" })("y"), undefined);
  assert.equal(validator({ $ref: "#/nowhere" })("y"), undefined);
});
