/**
 * Document processing: a bar for each document. The page asks for the newest message of each document when it opens
 * (`{"action":"progress","docId":…}`), and hears of what follows.
 */

import { useMessage, useProgress } from "@tidings/react";

import type { DocumentsCatalog, DocumentsMessage } from "../types/src/documents.js";
import { invalidate, publishEvent, useQuery } from "./backend.js";
import { Badge, Bar, Empty, Page, Panel, Publish, connect, fetched, fresh, pause, useToast } from "./frame.js";

const userId = "ada";

let client: ReturnType<typeof connect> | undefined;

export function Documents({ gateway }: { readonly gateway: string }) {
  client ??= connect<DocumentsCatalog>(gateway, "documents", { sub: userId });
  return (
    <Page name="documents" client={client} user={<span>Ada</span>}>
      <Outcomes />
      <Publish actions={[{ label: "Process a document", run: () => simulate(true) }, { label: "Process one that fails", run: () => simulate(false) }]} />
      <List />
    </Page>
  );
}

/** What the service that processes documents would publish. */
async function simulate(succeeds: boolean): Promise<void> {
  const [docId, totalPages] = [fresh("doc"), 12];
  const publish = (action: string, members: object) => publishEvent("documents", `processing.${action}`, { userId, docId, ...members });
  await publish("started", { totalPages });
  const last = succeeds ? totalPages : 7;
  for (let pagesProcessed = 1; pagesProcessed <= last; pagesProcessed++) {
    await pause(250);
    await publish("progressed", { pagesProcessed, totalPages });
  }
  if (succeeds) await publish("completed", {});
  else await publish("failed", { errorCode: "PROCESSING_FAILED", message: "Page 8 cannot be read", recoverable: true });
}

function Outcomes() {
  const toast = useToast();
  useMessage<DocumentsCatalog>({ status: "processing_started" }, () => invalidate("processing"));
  useMessage<DocumentsCatalog>({ status: "processing_complete" }, ({ docId }) => {
    toast({ title: "Document processed", text: docId, severity: "success" });
  });
  useMessage<DocumentsCatalog>({ status: "error" }, (message) => {
    toast({ title: "Processing failed", text: "message" in message ? message.message : "", severity: "error" });
  });
  return null;
}

function List() {
  const query = useQuery<{ readonly docId: string }>("documents", "processing");
  const documents = [...new Set(query.data.map(({ data }) => data.docId))];
  return (
    <Panel title="Documents" note={fetched(query)} id="documents">
      {documents.length === 0 ? (
        <Empty>None yet. Process one.</Empty>
      ) : (
        <ul className="bars">
          {documents.slice(0, 8).map((docId) => (
            <Document key={docId} docId={docId} />
          ))}
        </ul>
      )}
    </Panel>
  );
}

interface Shown {
  readonly value: number;
  readonly kind: string;
  readonly text: string;
}

/** The three forms of progress, and none, as what is shown. */
function shown(message: DocumentsMessage | undefined): Shown {
  switch (message?.status) {
    case undefined:
      return { value: 0, kind: "", text: "unknown" };
    case "processing_started":
      return { value: 0, kind: "", text: `0 of ${String(message.totalPages)} pages` };
    case "progress": {
      const { pagesProcessed, totalPages } = message;
      return { value: (100 * pagesProcessed) / totalPages, kind: "", text: `${String(pagesProcessed)} of ${String(totalPages)} pages` };
    }
    case "processing_complete":
      return { value: 100, kind: "success", text: "complete" };
    case "error":
      return { value: 100, kind: "error", text: message.message + (message.recoverable ? "; try again" : "") };
  }
}

function Document({ docId }: { readonly docId: string }) {
  const progress = useProgress<DocumentsCatalog, { docId: string }>({ docId }, { action: "progress", params: { docId } });
  const { value, kind, text } = shown(progress);
  return (
    <li data-document={docId} data-status={progress?.status ?? "unknown"}>
      <div>
        <strong>{docId}</strong> {kind ? <Badge kind={kind}>{text}</Badge> : <small>{text}</small>}
      </div>
      <Bar label={`Progress of ${docId}`} value={value} kind={kind} />
    </li>
  );
}
