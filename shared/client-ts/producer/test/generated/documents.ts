// The events of tenant `documents`, for producers; written by
// `tidings types --tenant documents --lang ts --for producer`.

import { type Message, type Stored, addressed, parseCatalog, publishTo, sharedProducer } from "tidings-producer";

/**
 * The data of `processing.started`.
 *
 * Processing started
 *
 * The processing of a document has begun.
 */
export interface ProcessingStarted {
  readonly docId: string;
  readonly totalPages: number;
  readonly userId: string;
}

/**
 * The data of `processing.progressed`.
 *
 * Progress
 *
 * So many of a document's pages are processed.
 */
export interface ProcessingProgressed {
  readonly docId: string;
  readonly pagesProcessed: number;
  readonly totalPages: number;
  readonly userId: string;
}

/**
 * The data of `processing.completed`.
 *
 * Processing complete
 *
 * A document is processed.
 */
export interface ProcessingCompleted {
  readonly docId: string;
  readonly userId: string;
}

/**
 * The data of `processing.failed`.
 *
 * Error
 *
 * The processing of a document has failed.
 */
export interface ProcessingFailed {
  readonly errorCode: string;
  readonly message: string;
  readonly docId: string;
  /** Whether trying again can succeed. */
  readonly recoverable: boolean;
  readonly userId: string;
}

/** The data of each event. */
export interface DocumentsEvents {
  readonly "processing.started": ProcessingStarted;
  readonly "processing.progressed": ProcessingProgressed;
  readonly "processing.completed": ProcessingCompleted;
  readonly "processing.failed": ProcessingFailed;
}

/** What the catalog demands of events; the producer checks it before it sends them. */
export const catalog = parseCatalog<DocumentsEvents>(
  "{\"tenant\":\"documents\",\"messages\":[{\"name\":\"processing_started\",\"events\":[\"processing.started\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Processing started\",\"description\":\"The processing of a document has begun.\",\"type\":\"object\",\"properties\":{\"status\":{\"const\":\"processing_started\"},\"docId\":{\"type\":\"string\",\"minLength\":1},\"totalPages\":{\"type\":\"integer\",\"minimum\":0}},\"required\":[\"status\",\"docId\",\"totalPages\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"status\",{\"value\":\"processing_started\"}],[\"docId\",{\"place\":{\"path\":\"data.docId\",\"root\":\"data\",\"steps\":[\"docId\"],\"pointer\":\"/docId\"}}],[\"totalPages\",{\"place\":{\"path\":\"data.totalPages\",\"root\":\"data\",\"steps\":[\"totalPages\"],\"pointer\":\"/totalPages\"}}]]},\"to\":[{\"kind\":\"user\",\"id\":[{\"path\":\"data.userId\",\"root\":\"data\",\"steps\":[\"userId\"],\"pointer\":\"/userId\"}]}],\"key\":[{\"path\":\"data.docId\",\"root\":\"data\",\"steps\":[\"docId\"],\"pointer\":\"/docId\"}]},{\"name\":\"progress\",\"events\":[\"processing.progressed\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Progress\",\"description\":\"So many of a document's pages are processed.\",\"type\":\"object\",\"properties\":{\"status\":{\"const\":\"progress\"},\"docId\":{\"type\":\"string\",\"minLength\":1},\"pagesProcessed\":{\"type\":\"integer\",\"minimum\":0},\"totalPages\":{\"type\":\"integer\",\"minimum\":0}},\"required\":[\"status\",\"docId\",\"pagesProcessed\",\"totalPages\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"status\",{\"value\":\"progress\"}],[\"docId\",{\"place\":{\"path\":\"data.docId\",\"root\":\"data\",\"steps\":[\"docId\"],\"pointer\":\"/docId\"}}],[\"pagesProcessed\",{\"place\":{\"path\":\"data.pagesProcessed\",\"root\":\"data\",\"steps\":[\"pagesProcessed\"],\"pointer\":\"/pagesProcessed\"}}],[\"totalPages\",{\"place\":{\"path\":\"data.totalPages\",\"root\":\"data\",\"steps\":[\"totalPages\"],\"pointer\":\"/totalPages\"}}]]},\"to\":[{\"kind\":\"user\",\"id\":[{\"path\":\"data.userId\",\"root\":\"data\",\"steps\":[\"userId\"],\"pointer\":\"/userId\"}]}],\"key\":[{\"path\":\"data.docId\",\"root\":\"data\",\"steps\":[\"docId\"],\"pointer\":\"/docId\"}]},{\"name\":\"processing_complete\",\"events\":[\"processing.completed\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Processing complete\",\"description\":\"A document is processed.\",\"type\":\"object\",\"properties\":{\"status\":{\"const\":\"processing_complete\"},\"docId\":{\"type\":\"string\",\"minLength\":1}},\"required\":[\"status\",\"docId\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"status\",{\"value\":\"processing_complete\"}],[\"docId\",{\"place\":{\"path\":\"data.docId\",\"root\":\"data\",\"steps\":[\"docId\"],\"pointer\":\"/docId\"}}]]},\"to\":[{\"kind\":\"user\",\"id\":[{\"path\":\"data.userId\",\"root\":\"data\",\"steps\":[\"userId\"],\"pointer\":\"/userId\"}]}],\"key\":[{\"path\":\"data.docId\",\"root\":\"data\",\"steps\":[\"docId\"],\"pointer\":\"/docId\"}]},{\"name\":\"error\",\"events\":[\"processing.failed\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Error\",\"description\":\"The processing of a document has failed.\",\"type\":\"object\",\"properties\":{\"status\":{\"const\":\"error\"},\"errorCode\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"},\"docId\":{\"type\":\"string\",\"minLength\":1},\"recoverable\":{\"type\":\"boolean\",\"description\":\"Whether trying again can succeed.\"}},\"required\":[\"status\",\"errorCode\",\"message\",\"docId\",\"recoverable\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"status\",{\"value\":\"error\"}],[\"errorCode\",{\"place\":{\"path\":\"data.errorCode\",\"root\":\"data\",\"steps\":[\"errorCode\"],\"pointer\":\"/errorCode\"}}],[\"message\",{\"place\":{\"path\":\"data.message\",\"root\":\"data\",\"steps\":[\"message\"],\"pointer\":\"/message\"}}],[\"docId\",{\"place\":{\"path\":\"data.docId\",\"root\":\"data\",\"steps\":[\"docId\"],\"pointer\":\"/docId\"}}],[\"recoverable\",{\"place\":{\"path\":\"data.recoverable\",\"root\":\"data\",\"steps\":[\"recoverable\"],\"pointer\":\"/recoverable\"}}]]},\"to\":[{\"kind\":\"user\",\"id\":[{\"path\":\"data.userId\",\"root\":\"data\",\"steps\":[\"userId\"],\"pointer\":\"/userId\"}]}],\"key\":[{\"path\":\"data.docId\",\"root\":\"data\",\"steps\":[\"docId\"],\"pointer\":\"/docId\"}]}]}",
);

/** The producer of the functions below. Unless it is configured, the environment does it at the first event. */
export const producer = sharedProducer(catalog);

/** Makes `processing.started` for one user. */
export function createProcessingStartedMessage(
  docId: string,
  totalPages: number,
): Message<"user"> {
  return addressed("user", "processing.started", "userId", { docId, totalPages });
}

/** Makes `processing.progressed` for one user. */
export function createProgressMessage(
  docId: string,
  pagesProcessed: number,
  totalPages: number,
): Message<"user"> {
  return addressed("user", "processing.progressed", "userId", { docId, pagesProcessed, totalPages });
}

/** Makes `processing.completed` for one user. */
export function createProcessingCompleteMessage(
  docId: string,
): Message<"user"> {
  return addressed("user", "processing.completed", "userId", { docId });
}

/** Makes `processing.failed` for one user. */
export function createErrorMessage(
  errorCode: string,
  message: string,
  docId: string,
  recoverable: boolean,
): Message<"user"> {
  return addressed("user", "processing.failed", "userId", { errorCode, message, docId, recoverable });
}

/** Publishes a message for one user, and resolves when it is stored. */
export function broadcastToUser(userId: string, message: Message<"user">): Promise<Stored> {
  return publishTo(producer, userId, message);
}
