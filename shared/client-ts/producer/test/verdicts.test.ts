// What is refused here is what the projector rejects, with the same reason and place.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { parseCatalog } from "tidings-producer";

type Case = [catalog: string, event: string, data: unknown, reason: string | null, pointer: string | null];
const { catalogs, cases } = JSON.parse(readFileSync("../types/tests/verdicts.json", "utf8")) as { catalogs: { tenant: string }[]; cases: Case[] };

test("each verdict is the projector's", () => {
  const parsed = new Map(catalogs.map((checks) => [checks.tenant, parseCatalog(JSON.stringify(checks))]));
  const other: unknown[] = [];
  for (const [tenant, type, data, reason, pointer] of cases) {
    const event = { id: "e", source: "/s", type, time: "1970-01-01T00:00:00Z", data };
    const found = parsed.get(tenant)!.check(event);
    const verdict = [found?.reason ?? null, found?.pointer ?? null];
    if (verdict[0] !== reason || verdict[1] !== pointer) other.push({ tenant, type, data: JSON.stringify(data), expected: [reason, pointer], verdict, text: found?.text });
  }
  assert.deepEqual(other, []);
  assert.ok(cases.length > 850);
});
