/** What the generated types permit, and what does not compile. Nothing of this is ever run. */

import { type Tidings, createClient } from "@tidings/client";
import { useMessage, useProgress, useTopic } from "@tidings/react";

import type { CncCatalog } from "./src/cnc.js";
import type { DocumentsCatalog } from "./src/documents.js";
import type { OpsCatalog } from "./src/ops.js";
import type { ShelterCatalog } from "./src/shelter.js";
import type { UploadsCatalog } from "./src/uploads.js";

declare function show(text: string | undefined, ...more: readonly (string | number | undefined)[]): void;

const ops = createClient<OpsCatalog>({ url: "/api/ws" });
ops.subscribe("incidents", { squad: ["platform"], environment: "production" });
ops.subscribe("metrics");
// @ts-expect-error: there is no such topic.
ops.subscribe("incident");
// @ts-expect-error: no message of this topic has the attribute.
ops.subscribe("incidents", { owner: "ada" });
ops.on({ type: "incident", action: "created" }, ({ data }) => {
  show(data.title, data.severity);
  // @ts-expect-error: an incident has no such member.
  show(data.hostname);
});
ops.on({ type: "notification" }, ({ data }) => {
  show(data.actionUrl, data.priority);
});
// @ts-expect-error: there is no such message.
ops.on({ type: "incidents" }, () => undefined);
ops.onMessage((message) => {
  switch (message.type) {
    case "asset":
      show(message.data.hostname);
      break;
    case "metric":
      show(message.data.metric_name, message.data.value);
      break;
    default:
      // @ts-expect-error: not every message has a host.
      show(message.data.hostname);
  }
});
const notification = { title: "t", message: "m", type: "info", priority: "low" } as const;
void ops.publish({ action: "created", type: "notification", data: notification });
// @ts-expect-error: a notification needs a message.
void ops.publish({ action: "created", type: "notification", data: { title: "t", type: "info", priority: "low" } });
// @ts-expect-error: clients may not publish metrics.
void ops.publish({ action: "updated", type: "metric", data: {} });
// @ts-expect-error: this catalog has no requests.
void ops.request("progress", { docId: "d" });

const documents = createClient<DocumentsCatalog>({ url: "/api/ws" });
void documents.request("progress", { docId: "d" }).then((answer) => {
  if (answer.status === "progress") show(answer.docId, answer.pagesProcessed);
});
// @ts-expect-error: the request names its document by `docId`.
void documents.request("progress", { id: "d" });
// @ts-expect-error: there is no such request.
void documents.request("status", { docId: "d" });

const shelter = createClient<ShelterCatalog>({ url: "/api/ws" });
const update = { shelterId: "s", status: "open", capacity: 9, occupancy: 3 } as const;
void shelter.publish({ action: "shelter_update", data: update });
// @ts-expect-error: occupancy is a number.
void shelter.publish({ action: "shelter_update", data: { ...update, occupancy: "3" } });

const cnc = createClient<CncCatalog>({ url: "/api/ws" });
cnc.on({ type: "volunteersUpdated" }, ({ orgId, periodId }) => {
  show(orgId, periodId);
});
// @ts-expect-error: clients publish nothing here.
void cnc.publish({ action: "anything" });

/** As a component would. */
export function Upload({ uploadId }: { readonly uploadId: string }) {
  const progress = useProgress<UploadsCatalog, { type: "upload_progress"; data: { uploadId: string } }>({
    type: "upload_progress",
    data: { uploadId },
  });
  show(progress?.data.fileName, progress?.data.progress);
  useTopic<OpsCatalog>("alerts", { environment: "production" });
  // @ts-expect-error: there is no such topic.
  useTopic<OpsCatalog>("nothing");
  useMessage<OpsCatalog, { type: "alert" }>({ type: "alert" }, ({ data }) => {
    show(data.metric, data.threshold);
  });
}

/** A client without a catalog takes anything. */
export function untyped(client: Tidings): void {
  client.subscribe("anything", { any: "value" });
  client.on({ type: "anything" }, (message) => {
    show(String(message["type"]));
  });
  void client.request("any", { key: "value" });
  void client.publish({ action: "any" });
}
