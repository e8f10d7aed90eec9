// The messages of tenant `documents`, written by `tidings types --tenant documents --lang ts`.

import type { Catalog } from "@tidings/client";

/**
 * Processing started
 *
 * The processing of a document has begun.
 */
export interface ProcessingStarted {
  readonly status: "processing_started";
  readonly docId: string;
  readonly totalPages: number;
}

/**
 * Progress
 *
 * So many of a document's pages are processed.
 */
export interface Progress {
  readonly status: "progress";
  readonly docId: string;
  readonly pagesProcessed: number;
  readonly totalPages: number;
}

/**
 * Processing complete
 *
 * A document is processed.
 */
export interface ProcessingComplete {
  readonly status: "processing_complete";
  readonly docId: string;
}

/**
 * Error
 *
 * The processing of a document has failed.
 */
export interface Error {
  readonly status: "error";
  readonly errorCode: string;
  readonly message: string;
  readonly docId: string;
  /** Whether trying again can succeed. */
  readonly recoverable: boolean;
}

/** Every message that a client may receive. */
export type DocumentsMessage = ProcessingStarted | Progress | ProcessingComplete | Error;

/** What the catalog permits: `createClient<DocumentsCatalog>(…)`. */
export interface DocumentsCatalog extends Catalog {
  readonly message: DocumentsMessage;
  readonly topics: {};
  readonly routes: {
    readonly progress: { readonly params: {
      readonly docId: string;
    }; readonly answer: ProcessingStarted | Progress | ProcessingComplete | Error };
  };
  readonly publication: never;
}
