// The producer against a gateway of the test's own, which answers as it is told.
import assert from "node:assert/strict";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, test } from "node:test";

import { TraceFlags, context, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";

import { type Options, Producer, PublishError, Unavailable } from "tidings-producer";

import { type UploadsEvents, broadcastToUser, catalog, createUploadProgressMessage, producer as shared } from "./generated/uploads.js";

interface Sent {
  id: string;
  traceparent?: string;
  data: { message: string };
}

/** One request: its events, and the token that it had. */
interface Request {
  events: Sent[];
  token: string;
}

type Reply = (request: Request, response: ServerResponse) => void;

const open: { server: Server; producer: Producer<UploadsEvents> }[] = [];

afterEach(async () => {
  for (const { server, producer } of open.splice(0)) {
    await producer.close(0);
    server.closeAllConnections();
    server.close();
  }
});

async function read(request: IncomingMessage): Promise<Request> {
  let text = "";
  for await (const chunk of request) text += String(chunk);
  const body = JSON.parse(text) as Sent | Sent[];
  return { events: [body].flat(), token: request.headers.authorization!.slice("Bearer ".length) };
}

function answer(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(body));
}

/** Stores everything. */
const stores: Reply = ({ events }, response) => {
  const stored = events.map(({ id }, index) => ({ id, sequence: index + 1, duplicate: false }));
  answer(response, 200, stored.length === 1 ? stored[0] : { events: stored });
};

/** The gateway's error. */
const says = (status: number, error: object, headers?: Record<string, string>): Reply => (_, response) => answer(response, status, { status, ...error }, headers);

/** A gateway that answers each request in turn with these, and then stores; and a producer for it. */
async function gateway(replies: Reply[], options: Options = {}) {
  const requests: Request[] = [];
  const server = createServer((request, response) => {
    void read(request).then((read) => {
      requests.push(read);
      (replies.shift() ?? stores)(read, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/`;
  const producer = new Producer(catalog, { url, key: "k", source: "/test", ...options });
  open.push({ server, producer });
  const stored = () => requests.flatMap(({ events }) => events.map(({ data }) => data.message));
  return { url, requests, producer, stored };
}

const progress = (message: string) => ({ userId: "ada", uploadId: "u", fileName: "f", progress: 1, message });

test("events given at once go together, in order, and each is answered", async () => {
  const { producer, requests, stored } = await gateway([]);
  const all = await Promise.all(["1", "2", "3"].map((message) => producer.publish("upload.progressed", progress(message), { id: message })));
  assert.deepEqual(all.map(({ id, sequence }) => [id, sequence]), [["1", 1], ["2", 2], ["3", 3]]);
  assert.deepEqual([requests.length, stored()], [1, ["1", "2", "3"]]);
  await producer.publish("upload.progressed", progress("4"));
  assert.equal(requests.length, 2);
});

test("what gets no answer is sent again with the same id and before all that came later", async () => {
  const retries: string[] = [];
  const cut: Reply = (_, response) => response.destroy();
  const page: Reply = (_, response) => answer(response, 200, "welcome");
  const { producer, requests } = await gateway([cut, says(503, { code: "UNAVAILABLE" }), page], {
    onRetry: (error) => retries.push(error.message),
  });
  const first = producer.publish("upload.progressed", progress("1"));
  const later = producer.publish("upload.progressed", progress("2"));
  assert.equal((await first).duplicate, false);
  await later;
  const ids = new Set(requests.flatMap(({ events }) => events.map(({ id }) => id)));
  assert.equal(ids.size, 2);
  assert.deepEqual(requests.map(({ events }) => events.map(({ data }) => data.message).join("")), ["12", "1", "1", "1", "2"]);
  assert.match(retries[0]!, /no answer/);
  assert.match(retries[1]!, /503/);
  assert.match(retries[2]!, /not that of a gateway/);
});

test("it comes again after as long as the gateway asks for", async () => {
  const waits: number[] = [];
  const full = says(429, { code: "TOO_MANY_EVENTS" }, { "retry-after": "1" });
  const { producer } = await gateway([full], { onRetry: (_, after) => waits.push(after) });
  await producer.publish("upload.progressed", progress("1"));
  assert.equal(waits.length, 1);
  assert.ok(waits[0]! >= 1000, String(waits[0]));
});

test("what is refused for good goes to who published it, or to the callback, and others go on", async () => {
  const refused: PublishError[] = [];
  const named = says(422, { code: "EVENT_REJECTED", events: [{ index: 1, code: "EVENT_REJECTED", reason: "id-reused", detail: "used" }] });
  const { producer, requests } = await gateway([named, stores, says(403, { code: "EVENT_FORBIDDEN" })], {
    onRefused: (error) => refused.push(error),
  });
  const all = ["1", "2", "3"].map((id) => producer.publish("upload.progressed", progress(id), { id }));
  const outcomes = await Promise.allSettled(all);
  assert.deepEqual(outcomes.map(({ status }) => status), ["fulfilled", "rejected", "fulfilled"]);
  const { reason } = outcomes[1] as { reason: PublishError };
  assert.deepEqual([reason.kind, reason.reason, reason.event.id], ["rejected", "id-reused", "2"]);
  assert.deepEqual(requests[1]!.events.map(({ id }) => id), ["1", "3"]);
  const id = producer.enqueue("upload.progressed", progress("4"));
  await producer.flush();
  assert.deepEqual(refused.map(({ kind, code, event }) => [kind, code, event.id]), [["refused", "EVENT_FORBIDDEN", id]]);
});

test("a batch that is too much goes one by one", async () => {
  const { producer, requests } = await gateway([says(413, { code: "BODY_TOO_LARGE" })]);
  await Promise.all(["1", "2", "3"].map((message) => producer.publish("upload.progressed", progress(message))));
  assert.deepEqual(requests.map(({ events }) => events.length), [3, 1, 2]);
});

test("a token that is refused is asked for once more", async () => {
  const denied = says(401, { code: "TOKEN_EXPIRED" });
  const tokens = ["old", "new"];
  const { producer, requests } = await gateway([denied, stores, denied, denied], { key: () => tokens.shift() ?? "last" });
  await producer.publish("upload.progressed", progress("1"));
  assert.deepEqual(requests.map(({ token }) => token), ["old", "new"]);
  const error: unknown = await producer.publish("upload.progressed", progress("2")).catch((error: unknown) => error);
  assert.ok(error instanceof PublishError && error.status === 401 && error.kind === "refused");
});

test("the buffer is bounded in number and in bytes, and what is too much is given back", async () => {
  const never: Reply = () => undefined;
  for (const buffer of [{ events: 2 }, { bytes: 700 }]) {
    const { producer } = await gateway([never], { buffer });
    for (const message of ["1", "2"]) producer.enqueue("upload.progressed", progress(message));
    assert.throws(() => producer.enqueue("upload.progressed", progress("3")), { kind: "full" });
    assert.equal(producer.pending, 2);
    const left = await producer.close(1);
    assert.deepEqual(left.map(({ data }) => (data as Sent["data"]).message), ["1", "2"]);
    assert.throws(() => producer.enqueue("upload.progressed", progress("4")), { kind: "closed" });
  }
});

test("closing tells who waits that nothing is known", async () => {
  const { producer } = await gateway([() => undefined]);
  const waiting = assert.rejects(producer.publish("upload.progressed", progress("1")), { kind: "unknown" });
  assert.equal((await producer.close(1)).length, 1);
  await waiting;
});

test("what the catalog refuses is not sent", async () => {
  const { producer, requests } = await gateway([]);
  const wrong = { ...progress("1"), progress: 101 };
  await assert.rejects(producer.publish("upload.progressed", wrong), { kind: "rejected", reason: "schema-violation", pointer: "/data/progress" });
  const { userId: _, ...nobody } = progress("1");
  assert.throws(() => producer.enqueue("upload.progressed", nobody as never), { reason: "missing-value", pointer: "/userId" });
  assert.throws(() => producer.enqueue("upload.progressed", progress("1"), { id: "" }), { reason: "malformed-event" });
  const small = new Producer(catalog, { url: "http://127.0.0.1:1", key: "k", source: "/test", maxEventBytes: 100 });
  assert.throws(() => small.enqueue("upload.progressed", progress("1")), { reason: "too-large" });
  assert.equal(requests.length, 0);
});

test("the functions of a generated module share a producer that the environment configures", async () => {
  const { url, stored } = await gateway([]);
  await assert.rejects(broadcastToUser("ada", createUploadProgressMessage("u", "f", 1, "early")), /TIDINGS_SOURCE/);
  Object.assign(process.env, { TIDINGS_URL: url, TIDINGS_KEY: "k", TIDINGS_SOURCE: "/env" });
  await broadcastToUser("ada", createUploadProgressMessage("u", "f", 1, "one", undefined, 7));
  assert.deepEqual(stored(), ["one"]);
  assert.throws(() => shared.configure({}), /in use/);
  await shared.close();
});

test("an error of the application's own does not end the producer", async () => {
  const { producer } = await gateway([says(503, {})], {
    onRetry: (error) => {
      assert.ok(error instanceof Unavailable);
      throw new Error("the application's own, which the console shows");
    },
  });
  await producer.publish("upload.progressed", progress("1"));
});

test("an event belongs to the trace in which it is published", async () => {
  const { producer, requests } = await gateway([]);
  await producer.publish("upload.progressed", progress("1"));
  const given = "00-11111111111111111111111111111111-2222222222222222-01";
  await producer.publish("upload.progressed", progress("2"), { traceparent: given });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  const span = { traceId: "33333333333333333333333333333333", spanId: "4444444444444444", traceFlags: TraceFlags.SAMPLED };
  await context.with(trace.setSpanContext(context.active(), span), async () => {
    await producer.publish("upload.progressed", progress("3"));
    await producer.publish("upload.progressed", progress("4"), { traceparent: given });
  });
  await producer.publish("upload.progressed", progress("5"));
  const traces = requests.flatMap(({ events }) => events.map((event) => event.traceparent));
  assert.deepEqual(traces, [undefined, given, "00-33333333333333333333333333333333-4444444444444444-01", given, undefined]);
  context.disable();
  propagation.disable();
});
