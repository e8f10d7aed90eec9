/** `@tidings/client`: each message once to the application, across reconnects and reloads. */

export { type About, Application } from "./application.js";
export type { AnyCatalog, Catalog, FiltersOf, Matching, Part, PatternOf, RouteOf, TopicOf } from "./catalog.js";
export { Client, type Options, type SendOptions, type Speaker, type Tidings, createClient } from "./client.js";
export { type Environment, type Socket, type Store, memoryStore } from "./environment.js";
export type { CloseReason, Settings, State, WaitReason } from "./machine.js";
export { type Filters, type Gap, TidingsError } from "./protocol.js";
export type { Reconnect } from "./reconnect.js";
