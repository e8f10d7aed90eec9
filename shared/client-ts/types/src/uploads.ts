// The messages of tenant `uploads`, written by `tidings types --tenant uploads --lang ts`.

import type { Catalog } from "@tidings/client";

/**
 * Upload progress
 *
 * How far the processing of an upload has come.
 */
export interface UploadProgress {
  readonly type: "upload_progress";
  readonly data: {
    readonly uploadId: string;
    readonly fileName: string;
    /** Percent. */
    readonly progress: number;
    readonly currentRow?: number;
    readonly totalRows?: number;
    readonly message: string;
  };
  readonly timestamp: string;
}

/**
 * Notification
 *
 * A notice for one user.
 */
export interface Notification {
  readonly type: "notification";
  readonly data: {
    readonly title: string;
    readonly message: string;
    readonly severity: "info" | "success" | "warning" | "error";
    readonly actionUrl?: string;
    readonly actionLabel?: string;
  };
  readonly timestamp: string;
}

/**
 * Error
 *
 * Something that the user asked for has failed.
 */
export interface Error {
  readonly type: "error";
  readonly data: {
    readonly code: string;
    readonly message: string;
    /** Whatever helps to understand the error, of any type. */
    readonly details?: unknown;
  };
  readonly timestamp: string;
}

/** Every message that a client may receive. */
export type UploadsMessage = UploadProgress | Notification | Error;

/** What the catalog permits: `createClient<UploadsCatalog>(…)`. */
export interface UploadsCatalog extends Catalog {
  readonly message: UploadsMessage;
  readonly topics: {};
  readonly routes: {};
  readonly publication: never;
}
