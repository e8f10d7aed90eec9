// `tidings-producer` as programs use it: `publish.mjs document`, or so many notifications for Ada over HTTP or NATS.
import { type Options, Producer, PublishError } from "tidings-producer";
import { NatsTransport } from "tidings-producer/nats";

import { broadcastAlert, broadcastShelterUpdate, producer as shelter } from "../producer/test/generated/shelter.js";
import { catalog, createNotificationMessage, producer as uploads } from "../producer/test/generated/uploads.js";
import { handler } from "./document/handler.js";
import { stream } from "./document/stream.js";

const [mode = "", count = "0"] = process.argv.slice(2);

async function document(): Promise<void> {
  await handler({ body: JSON.stringify({ userId: "ada", mocId: "moc-1", s3Key: "key" }) });
  for (let row = 0; row < 200; row++) stream.emit("data", {});
  await uploads.flush();
  await import("./document/notify.js");
  await uploads.close();
  shelter.configure({ key: process.env["TIDINGS_SHELTER_KEY"]! });
  await broadcastShelterUpdate({ shelterId: "s-1", status: "open", capacity: 200, occupancy: 150 });
  await broadcastAlert({ title: "Storm", message: "Stay inside", severity: "high", shelterId: "s-1" });
  await shelter.close();
}

/** Publishes in order, without waiting for each, which fills the buffer; says what is stored. */
async function many(options: Options): Promise<void> {
  const producer = new Producer(catalog, { ...options, buffer: { events: Number(count) } });
  const { data } = createNotificationMessage("", "m", "info");
  const publish = (title: string, id: string) => producer.publish("notification.created", { ...data, userId: "ada", title } as never, { id });
  const all = Array.from({ length: Number(count) }, async (_, n) => {
    await publish(String(n), `${mode}-${String(n)}`);
    console.log(`stored ${String(n)}`);
  });
  await publish("too many", "too-many").catch((error: unknown) => {
    if (error instanceof PublishError) console.log(`refused ${error.kind}`);
  });
  await Promise.all(all);
  const again = await publish("0", `${mode}-0`);
  console.log(`again ${String(again.duplicate)}`);
  const left = await producer.close();
  console.log(`left ${String(left.length)}`);
}

if (mode === "document") await document();
else if (mode === "nats") await many({ transport: new NatsTransport({ servers: process.env["TIDINGS_NATS"]!, tenant: "uploads" }) });
else await many({});
console.log("publish: done");
