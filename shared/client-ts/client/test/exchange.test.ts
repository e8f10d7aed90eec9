/** What an application says to the gateway: subscriptions, requests, publications. On a clock that the tests move. */

import assert from "node:assert/strict";
import { test } from "node:test";

import type { TidingsError } from "../src/index.js";
import { Setup } from "./setup.js";

test("subscriptions made and ended offline count when it is back", async () => {
  const setup = new Setup();
  const end = setup.client.subscribe("incidents", { squad: "platform" });
  setup.client.subscribe("tasks");
  setup.client.subscribe("incidents", { squad: ["data"] });
  await setup.live();
  await setup.until(() => setup.gateway.topics.size === 2);
  assert.equal(setup.gateway.topics.get("incidents"), '{"squad":["data","platform"]}');
  end();
  await setup.until(() => setup.gateway.topics.get("incidents") === '{"squad":["data"]}');
  setup.gateway.isUp = false;
  setup.connection.end(1006);
  await setup.until(() => setup.client.state.name === "waiting");
  setup.client.subscribe("alerts");
  setup.client.subscribe("tasks")();
  setup.gateway.isUp = true;
  await setup.until(() => setup.gateway.topics.has("alerts"));
  assert.deepEqual([...setup.gateway.topics.keys()].sort(), ["alerts", "incidents", "tasks"]);
});

test("a topic that is refused does not stand in the way of others, and is reported", async () => {
  const setup = new Setup();
  setup.client.subscribe("incidents");
  setup.client.subscribe("forbidden");
  await setup.live();
  await setup.until(() => setup.gateway.topics.has("incidents") && setup.errors.length > 0);
  await setup.world.advance(10_000);
  assert.deepEqual(setup.errors.map((error) => (error as TidingsError).code), ["FORBIDDEN"]);
});

test("requests are answered, each with its own answer", async () => {
  const setup = await new Setup().live();
  const ask = (docId: string) => setup.client.request("progress", { docId });
  const answers = await Promise.all([
    ...["a", "b", "none", "c"].map((id) => ask(id).catch((error: unknown) => (error as TidingsError).code)),
    setup.world.advance(1000),
  ]);
  const progress = (docId: string) => ({ status: "progress", docId });
  assert.deepEqual(answers.slice(0, 4), [progress("a"), progress("b"), "NOT_FOUND", progress("c")]);
});

test("a late answer is not taken for that of the next request", async () => {
  const setup = await new Setup().live();
  setup.connection.isSilent = true;
  const late = setup.client.request("progress", { docId: "late" }, { timeout: 100 });
  await Promise.all([assert.rejects(late, { code: "TIMEOUT" }), setup.world.advance(200)]);
  setup.connection.isSilent = false;
  const next = setup.client.request("progress", { docId: "next" });
  // Its answer comes now, behind that to the one that was given up.
  setup.connection.onmessage?.({ data: '{"status":"progress","docId":"late"}' } as never);
  const [answer] = await Promise.all([next, setup.world.advance(1000)]);
  assert.deepEqual(answer, { status: "progress", docId: "next" });
});

test("an answer that comes before that to a repeated request is not taken for it", async () => {
  const setup = await new Setup().live();
  const { connection } = setup;
  connection.isSilent = true;
  const first = setup.client.request("progress", { docId: "first" }, { id: "r1" });
  const second = setup.client.request("progress", { docId: "second" }, { id: "r2" });
  connection.isSilent = false;
  connection.refuse("UNAVAILABLE", "r1");
  const send = connection.send.bind(connection);
  connection.send = (text) => {
    send(text);
    connection.onmessage?.({ data: '{"original_message_id":"r2","status":"progress","docId":"second"}' } as never);
  };
  const answers = await Promise.all([first, second, setup.world.advance(5000)]);
  assert.deepEqual(answers.slice(0, 2), [
    { status: "progress", docId: "first" },
    { status: "progress", docId: "second" },
  ]);
});

test("publications wait for the connection, are stored once and in their order", async () => {
  const setup = new Setup();
  await setup.live();
  setup.gateway.isUp = false;
  setup.connection.end(1006);
  await setup.until(() => setup.client.state.name === "waiting");
  const all = ["a", "b", "c"].map((text) => setup.client.publish({ action: "say", text }));
  setup.gateway.isUp = true;
  await setup.until(() => setup.gateway.publications.length === 3);
  const [ids] = await Promise.all([Promise.all(all), setup.world.advance(1000)]);
  assert.deepEqual(setup.gateway.log.map(({ body }) => body["text"]), ["a", "b", "c"]);
  assert.deepEqual(ids, setup.gateway.log.map(({ id }) => id));
});

test("the outbox is bounded, and closing answers everything", async () => {
  const setup = new Setup({ maxOutbox: 1 });
  setup.client.open();
  const first = setup.client.publish({ action: "say", text: "a" });
  await assert.rejects(setup.client.publish({ action: "say", text: "b" }), { code: "OUTBOX_FULL" });
  setup.client.close();
  await assert.rejects(first, { code: "CLOSED" });
  await assert.rejects(setup.client.publish({ action: "say", text: "c" }), { code: "CLOSED" });
});

test("a publication that might count twice is rejected instead", async () => {
  const setup = await new Setup().live();
  setup.connection.isSilent = true;
  const uncertain = setup.client.publish({ action: "say", text: "a" });
  const rejected = assert.rejects(uncertain, { code: "UNCERTAIN" });
  setup.gateway.isUp = false;
  await setup.world.advance(300_000);
  setup.gateway.isUp = true;
  await Promise.all([rejected, setup.world.advance(300_000)]);
});

test("what the gateway refuses for now is sent again", async () => {
  const setup = await new Setup().live();
  setup.connection.isSilent = true;
  const published = setup.client.publish({ action: "say", text: "a" }, { id: "m1" });
  await setup.world.advance(100);
  setup.connection.isSilent = false;
  setup.connection.refuse("RATE_LIMITED", "m1", { retry_after_ms: 7000 });
  await setup.world.advance(6000);
  assert.deepEqual(setup.gateway.publications, []);
  await Promise.all([published, setup.world.advance(3000)]);
  assert.deepEqual(setup.gateway.publications, ["m1"]);
});
