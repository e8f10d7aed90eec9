// What the types of a generated module permit, and what they refuse: this file is compiled, not run.
import { Producer } from "tidings-producer";

import { broadcastAlert, broadcastShelterUpdate, catalog as shelter } from "./generated/shelter.js";
import { broadcastToUser, catalog, createErrorMessage, createNotificationMessage } from "./generated/uploads.js";

const producer = new Producer(catalog);

export async function compiles(): Promise<void> {
  const { sequence, duplicate } = await producer.publish("error.occurred", { userId: "ada", code: "E", message: "m", details: [1] });
  producer.enqueue("error.occurred", { userId: "ada", code: String(sequence), message: String(duplicate) }, { id: "own" });
  await broadcastToUser("ada", createErrorMessage("E", "m", { row: 7 }));
  await broadcastShelterUpdate({ shelterId: "s", status: "open", capacity: 2, occupancy: 1 });
  await broadcastAlert({ title: "t", message: "m", severity: "low" });

  // @ts-expect-error -- there is no such event
  await producer.publish("error.vanished", {});
  // @ts-expect-error -- a member is missing
  await producer.publish("error.occurred", { userId: "ada", code: "E" });
  // @ts-expect-error -- there is no such member
  await producer.publish("error.occurred", { userId: "ada", code: "E", message: "m", detail: 1 });
  // @ts-expect-error -- another tenant's event
  await new Producer(shelter).publish("error.occurred", { userId: "ada", code: "E", message: "m" });
  // @ts-expect-error -- there is no such severity
  createNotificationMessage("t", "m", "fatal");
  // @ts-expect-error -- it is for one user, and says for whom
  await broadcastToUser(createErrorMessage("E", "m"));
}
