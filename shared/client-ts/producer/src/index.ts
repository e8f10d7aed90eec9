// Publishes events to Tidings: typed, checked before they are sent, kept while Tidings is away, and each stored once.
export { Catalog, type Rejection, parseCatalog } from "./catalog.js";
export { type ErrorDetails, type ErrorKind, PublishError } from "./error.js";
export type { EventOptions, OutgoingEvent, PublishedEvent } from "./event.js";
export { type HttpOptions, HttpTransport, type Key } from "./http.js";
export { type Options, Producer } from "./producer.js";
export { type Message, SharedProducer, addressed, publishTo, sharedProducer } from "./shared.js";
export { type Outcome, type Refusal, type Stored, type Transport, Unavailable } from "./transport.js";
