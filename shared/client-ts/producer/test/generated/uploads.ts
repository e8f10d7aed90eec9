// The events of tenant `uploads`, for producers; written by
// `tidings types --tenant uploads --lang ts --for producer`.

import { type Message, type Stored, addressed, parseCatalog, publishTo, sharedProducer } from "tidings-producer";

/**
 * The data of `upload.progressed`.
 *
 * Upload progress
 *
 * How far the processing of an upload has come.
 */
export interface UploadProgressed {
  readonly uploadId: string;
  readonly fileName: string;
  /** Percent. */
  readonly progress: number;
  readonly currentRow?: number;
  readonly totalRows?: number;
  readonly message: string;
  readonly userId: string;
}

/**
 * The data of `notification.created`.
 *
 * Notification
 *
 * A notice for one user.
 */
export interface NotificationCreated {
  readonly title: string;
  readonly message: string;
  readonly severity: "info" | "success" | "warning" | "error";
  readonly actionUrl?: string;
  readonly actionLabel?: string;
  readonly userId: string;
}

/**
 * The data of `error.occurred`.
 *
 * Error
 *
 * Something that the user asked for has failed.
 */
export interface ErrorOccurred {
  readonly code: string;
  readonly message: string;
  /** Whatever helps to understand the error, of any type. */
  readonly details?: unknown;
  readonly userId: string;
}

/** The data of each event. */
export interface UploadsEvents {
  readonly "upload.progressed": UploadProgressed;
  readonly "notification.created": NotificationCreated;
  readonly "error.occurred": ErrorOccurred;
}

/** What the catalog demands of events; the producer checks it before it sends them. */
export const catalog = parseCatalog<UploadsEvents>(
  "{\"tenant\":\"uploads\",\"messages\":[{\"name\":\"upload_progress\",\"events\":[\"upload.progressed\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Upload progress\",\"description\":\"How far the processing of an upload has come.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"upload_progress\"},\"data\":{\"type\":\"object\",\"properties\":{\"uploadId\":{\"type\":\"string\",\"minLength\":1},\"fileName\":{\"type\":\"string\"},\"progress\":{\"type\":\"number\",\"minimum\":0,\"maximum\":100,\"description\":\"Percent.\"},\"currentRow\":{\"type\":\"integer\",\"minimum\":0},\"totalRows\":{\"type\":\"integer\",\"minimum\":0},\"message\":{\"type\":\"string\"}},\"required\":[\"uploadId\",\"fileName\",\"progress\",\"message\"],\"additionalProperties\":false},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"upload_progress\"}],[\"data\",{\"object\":[[\"uploadId\",{\"place\":{\"path\":\"data.uploadId\",\"root\":\"data\",\"steps\":[\"uploadId\"],\"pointer\":\"/uploadId\"}}],[\"fileName\",{\"place\":{\"path\":\"data.fileName\",\"root\":\"data\",\"steps\":[\"fileName\"],\"pointer\":\"/fileName\"}}],[\"progress\",{\"place\":{\"path\":\"data.progress\",\"root\":\"data\",\"steps\":[\"progress\"],\"pointer\":\"/progress\"}}],[\"currentRow\",{\"place\":{\"path\":\"data.currentRow\",\"root\":\"data\",\"steps\":[\"currentRow\"],\"pointer\":\"/currentRow\",\"optional\":true}}],[\"totalRows\",{\"place\":{\"path\":\"data.totalRows\",\"root\":\"data\",\"steps\":[\"totalRows\"],\"pointer\":\"/totalRows\",\"optional\":true}}],[\"message\",{\"place\":{\"path\":\"data.message\",\"root\":\"data\",\"steps\":[\"message\"],\"pointer\":\"/message\"}}]]}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"user\",\"id\":[{\"path\":\"data.userId\",\"root\":\"data\",\"steps\":[\"userId\"],\"pointer\":\"/userId\"}]}],\"key\":[{\"path\":\"data.uploadId\",\"root\":\"data\",\"steps\":[\"uploadId\"],\"pointer\":\"/uploadId\"}]},{\"name\":\"notification\",\"events\":[\"notification.created\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Notification\",\"description\":\"A notice for one user.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"notification\"},\"data\":{\"type\":\"object\",\"properties\":{\"title\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"},\"severity\":{\"enum\":[\"info\",\"success\",\"warning\",\"error\"]},\"actionUrl\":{\"type\":\"string\"},\"actionLabel\":{\"type\":\"string\"}},\"required\":[\"title\",\"message\",\"severity\"],\"additionalProperties\":false},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"notification\"}],[\"data\",{\"object\":[[\"title\",{\"place\":{\"path\":\"data.title\",\"root\":\"data\",\"steps\":[\"title\"],\"pointer\":\"/title\"}}],[\"message\",{\"place\":{\"path\":\"data.message\",\"root\":\"data\",\"steps\":[\"message\"],\"pointer\":\"/message\"}}],[\"severity\",{\"place\":{\"path\":\"data.severity\",\"root\":\"data\",\"steps\":[\"severity\"],\"pointer\":\"/severity\"}}],[\"actionUrl\",{\"place\":{\"path\":\"data.actionUrl\",\"root\":\"data\",\"steps\":[\"actionUrl\"],\"pointer\":\"/actionUrl\",\"optional\":true}}],[\"actionLabel\",{\"place\":{\"path\":\"data.actionLabel\",\"root\":\"data\",\"steps\":[\"actionLabel\"],\"pointer\":\"/actionLabel\",\"optional\":true}}]]}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"user\",\"id\":[{\"path\":\"data.userId\",\"root\":\"data\",\"steps\":[\"userId\"],\"pointer\":\"/userId\"}]}]},{\"name\":\"error\",\"events\":[\"error.occurred\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Error\",\"description\":\"Something that the user asked for has failed.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"error\"},\"data\":{\"type\":\"object\",\"properties\":{\"code\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"},\"details\":{\"description\":\"Whatever helps to understand the error, of any type.\"}},\"required\":[\"code\",\"message\"],\"additionalProperties\":false},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"error\"}],[\"data\",{\"object\":[[\"code\",{\"place\":{\"path\":\"data.code\",\"root\":\"data\",\"steps\":[\"code\"],\"pointer\":\"/code\"}}],[\"message\",{\"place\":{\"path\":\"data.message\",\"root\":\"data\",\"steps\":[\"message\"],\"pointer\":\"/message\"}}],[\"details\",{\"place\":{\"path\":\"data.details\",\"root\":\"data\",\"steps\":[\"details\"],\"pointer\":\"/details\",\"optional\":true}}]]}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"user\",\"id\":[{\"path\":\"data.userId\",\"root\":\"data\",\"steps\":[\"userId\"],\"pointer\":\"/userId\"}]}]}]}",
);

/** The producer of the functions below. Unless it is configured, the environment does it at the first event. */
export const producer = sharedProducer(catalog);

/** Makes `upload.progressed` for one user. */
export function createUploadProgressMessage(
  uploadId: string,
  fileName: string,
  progress: number,
  message: string,
  currentRow?: number,
  totalRows?: number,
): Message<"user"> {
  return addressed("user", "upload.progressed", "userId", { uploadId, fileName, progress, message, currentRow, totalRows });
}

/** Makes `notification.created` for one user. */
export function createNotificationMessage(
  title: string,
  message: string,
  severity: "info" | "success" | "warning" | "error",
  actionUrl?: string,
  actionLabel?: string,
): Message<"user"> {
  return addressed("user", "notification.created", "userId", { title, message, severity, actionUrl, actionLabel });
}

/** Makes `error.occurred` for one user. */
export function createErrorMessage(
  code: string,
  message: string,
  details?: unknown,
): Message<"user"> {
  return addressed("user", "error.occurred", "userId", { code, message, details });
}

/** Publishes a message for one user, and resolves when it is stored. */
export function broadcastToUser(userId: string, message: Message<"user">): Promise<Stored> {
  return publishTo(producer, userId, message);
}
