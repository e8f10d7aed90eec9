/**
 * Uploads: a bar for each upload, a toast for each notification with the link that it names, and errors. The user may have the page
 * open on a phone and on a desktop; each is a device, and receives everything.
 */

import { useMessage, useNotifications } from "@tidings/react";
import { useState } from "react";

import type { Error as Failed, Notification, UploadProgress, UploadsCatalog } from "../types/src/uploads.js";
import { publishEvent, useQuery } from "./backend.js";
import { Bar, Empty, Page, Panel, Publish, clock, connect, fresh, pause, useRoute, useToast } from "./frame.js";

const userId = "ada";

let client: ReturnType<typeof connect> | undefined;

export function Uploads({ gateway }: { readonly gateway: string }) {
  client ??= connect<UploadsCatalog>(gateway, "uploads", { sub: userId });
  const route = useRoute();
  const actions = [
    { label: "Upload a parts list", run: () => simulate(true) },
    { label: "Upload one that fails", run: () => simulate(false) },
  ];
  return (
    <Page name="uploads" client={client} user={<span>Ada</span>}>
      {route && (
        <p className="route" id="route">
          The application would show <code>{route}</code> now. <a href="#">Back</a>
        </p>
      )}
      <Publish actions={actions} />
      <div className="columns two">
        <Progress />
        <Inbox />
      </div>
    </Page>
  );
}

/** What the service that parses uploads would publish. */
async function simulate(succeeds: boolean): Promise<void> {
  const [uploadId, totalRows] = [fresh("up"), 10_000];
  const progress = (percent: number, message: string, more: object = {}) =>
    publishEvent("uploads", "upload.progressed", { userId, uploadId, fileName: "parts-list.csv", progress: percent, message, ...more });
  await progress(0, "Starting CSV parsing...");
  for (let percent = 10; percent <= (succeeds ? 90 : 40); percent += 10) {
    await pause(250);
    const currentRow = percent * 100;
    await progress(percent, `Parsing row ${String(currentRow)}...`, { currentRow, totalRows });
  }
  const notify = (outcome: object) => publishEvent("uploads", "notification.created", { userId, ...outcome });
  if (succeeds) {
    await progress(100, "CSV parsing complete!");
    const link = { actionUrl: `/mocs/${uploadId}`, actionLabel: "View MOC" };
    await notify({ title: "Upload complete", message: "Your file has been uploaded successfully", severity: "success", ...link });
  } else {
    await publishEvent("uploads", "error.occurred", { userId, code: "CSV_INVALID", message: "Row 4001 has 7 columns, expected 6" });
    await notify({ title: "Upload failed", message: "Unable to process your file. Please try again.", severity: "error" });
  }
}

/** What was there when the page opened comes from REST; what follows, with the messages. */
function Progress() {
  const { data } = useQuery<UploadProgress["data"]>("uploads", "upload");
  const [live, setLive] = useState<ReadonlyMap<string, UploadProgress["data"]>>(new Map());
  useMessage<UploadsCatalog>({ type: "upload_progress" }, (message) => {
    const upload = (message as UploadProgress).data;
    setLive((before) => new Map([...before, [upload.uploadId, upload]]));
  });
  const uploads = new Map(data.map((one) => [one.data.uploadId, one.data] as const).reverse());
  for (const [id, upload] of live) uploads.set(id, upload);
  const newest = [...uploads.values()].reverse().slice(0, 8);
  return (
    <Panel title="Uploads" id="uploads">
      {newest.length === 0 ? (
        <Empty>None yet. Upload something.</Empty>
      ) : (
        <ul className="bars">
          {newest.map(({ uploadId, fileName, progress, message }) => (
            <li key={uploadId} data-upload={uploadId} data-progress={progress}>
              <div>
                <strong>{fileName}</strong> <small>{message}</small>
              </div>
              <Bar label={`Progress of ${fileName}, ${uploadId}`} value={progress} kind={progress === 100 ? "success" : ""} />
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function Inbox() {
  const toast = useToast();
  const { messages, unread, markRead, clear } = useNotifications<UploadsCatalog>({ name: "uploads:notifications" });
  useMessage<UploadsCatalog>({ type: "notification" }, (message) => {
    const { title, message: text, severity } = (message as Notification).data;
    toast({ title, text, severity });
  });
  useMessage<UploadsCatalog>({ type: "error" }, (message) => {
    const { code, message: text } = (message as Failed).data;
    toast({ title: code, text, severity: "error" });
  });
  const note = (
    <span aria-live="polite" id="unread" data-unread={unread}>
      {unread} unread
    </span>
  );
  return (
    <Panel title="Notifications" note={note} id="inbox">
      {messages.length === 0 ? (
        <Empty>Nothing has come yet.</Empty>
      ) : (
        <ul className="entries">
          {messages.map(({ data, timestamp }, index) => (
            <li key={timestamp + String(index)} className={data.severity}>
              <strong>{data.title}</strong>
              <p>{data.message}</p>
              <small>
                {clock(timestamp)} {data.actionUrl && <a href={`#${data.actionUrl}`}>{data.actionLabel ?? "Open"}</a>}
              </small>
            </li>
          ))}
        </ul>
      )}
      <div className="buttons">
        <button disabled={unread === 0} onClick={markRead}>
          Mark all read
        </button>
        <button disabled={messages.length === 0} onClick={clear}>
          Clear
        </button>
      </div>
    </Panel>
  );
}
