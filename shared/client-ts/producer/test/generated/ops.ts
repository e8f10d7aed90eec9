// The events of tenant `ops`, for producers; written by
// `tidings types --tenant ops --lang ts --for producer`.

import { type Message, type Stored, addressed, parseCatalog, publishTo, sharedProducer } from "tidings-producer";

/**
 * The data of `incident.created`.
 *
 * Incident event
 *
 * An incident was created, updated or deleted. A message carries the record's times as far as the producer states them.
 */
export interface IncidentCreated {
  readonly id: string;
  readonly jira_id: string;
  readonly title: string;
  readonly severity: "critical" | "high" | "medium" | "low";
  readonly status: "open" | "in_progress" | "resolved" | "closed";
  readonly squad: string;
  readonly created_at?: string;
  readonly updated_at?: string;
  readonly assignee?: string;
  readonly description?: string;
  readonly environment?: string;
  readonly [further: string]: unknown;
}

/**
 * The data of `incident.updated`.
 *
 * Incident event
 *
 * An incident was created, updated or deleted. A message carries the record's times as far as the producer states them.
 */
export interface IncidentUpdated {
  readonly id: string;
  readonly jira_id: string;
  readonly title: string;
  readonly severity: "critical" | "high" | "medium" | "low";
  readonly status: "open" | "in_progress" | "resolved" | "closed";
  readonly squad: string;
  readonly created_at?: string;
  readonly updated_at?: string;
  readonly assignee?: string;
  readonly description?: string;
  readonly environment?: string;
  readonly [further: string]: unknown;
}

/**
 * The data of `incident.deleted`.
 *
 * Incident event
 *
 * An incident was created, updated or deleted. A message carries the record's times as far as the producer states them.
 */
export interface IncidentDeleted {
  readonly id: string;
  readonly jira_id: string;
  readonly title: string;
  readonly severity: "critical" | "high" | "medium" | "low";
  readonly status: "open" | "in_progress" | "resolved" | "closed";
  readonly squad: string;
  readonly created_at?: string;
  readonly updated_at?: string;
  readonly assignee?: string;
  readonly description?: string;
  readonly environment?: string;
  readonly [further: string]: unknown;
}

/**
 * The data of `task.created`.
 *
 * Task event
 *
 * A task was created, updated or deleted. A message carries the record's times as far as the producer states them.
 */
export interface TaskCreated {
  readonly id: string;
  readonly jira_id: string;
  readonly title: string;
  readonly status: "todo" | "in_progress" | "review" | "done";
  readonly squad: string;
  readonly assignee?: string;
  readonly due_date?: string;
  readonly priority?: "low" | "medium" | "high";
  readonly created_at?: string;
  readonly updated_at?: string;
  readonly environment?: string;
  readonly [further: string]: unknown;
}

/**
 * The data of `task.updated`.
 *
 * Task event
 *
 * A task was created, updated or deleted. A message carries the record's times as far as the producer states them.
 */
export interface TaskUpdated {
  readonly id: string;
  readonly jira_id: string;
  readonly title: string;
  readonly status: "todo" | "in_progress" | "review" | "done";
  readonly squad: string;
  readonly assignee?: string;
  readonly due_date?: string;
  readonly priority?: "low" | "medium" | "high";
  readonly created_at?: string;
  readonly updated_at?: string;
  readonly environment?: string;
  readonly [further: string]: unknown;
}

/**
 * The data of `task.deleted`.
 *
 * Task event
 *
 * A task was created, updated or deleted. A message carries the record's times as far as the producer states them.
 */
export interface TaskDeleted {
  readonly id: string;
  readonly jira_id: string;
  readonly title: string;
  readonly status: "todo" | "in_progress" | "review" | "done";
  readonly squad: string;
  readonly assignee?: string;
  readonly due_date?: string;
  readonly priority?: "low" | "medium" | "high";
  readonly created_at?: string;
  readonly updated_at?: string;
  readonly environment?: string;
  readonly [further: string]: unknown;
}

/**
 * The data of `asset.created`.
 *
 * Asset event
 *
 * An asset was created, updated or deleted. A message carries the record's times as far as the producer states them.
 */
export interface AssetCreated {
  readonly id: string;
  readonly hostname: string;
  readonly asset_type: string;
  readonly ip_address?: string;
  readonly risk_level: "critical" | "high" | "medium" | "low";
  readonly owner?: string;
  readonly environment: "production" | "staging" | "sandbox" | "dev";
  readonly created_at?: string;
  readonly updated_at?: string;
  readonly squad?: string;
  readonly [further: string]: unknown;
}

/**
 * The data of `asset.updated`.
 *
 * Asset event
 *
 * An asset was created, updated or deleted. A message carries the record's times as far as the producer states them.
 */
export interface AssetUpdated {
  readonly id: string;
  readonly hostname: string;
  readonly asset_type: string;
  readonly ip_address?: string;
  readonly risk_level: "critical" | "high" | "medium" | "low";
  readonly owner?: string;
  readonly environment: "production" | "staging" | "sandbox" | "dev";
  readonly created_at?: string;
  readonly updated_at?: string;
  readonly squad?: string;
  readonly [further: string]: unknown;
}

/**
 * The data of `asset.deleted`.
 *
 * Asset event
 *
 * An asset was created, updated or deleted. A message carries the record's times as far as the producer states them.
 */
export interface AssetDeleted {
  readonly id: string;
  readonly hostname: string;
  readonly asset_type: string;
  readonly ip_address?: string;
  readonly risk_level: "critical" | "high" | "medium" | "low";
  readonly owner?: string;
  readonly environment: "production" | "staging" | "sandbox" | "dev";
  readonly created_at?: string;
  readonly updated_at?: string;
  readonly squad?: string;
  readonly [further: string]: unknown;
}

/**
 * The data of `alert.created`.
 *
 * Alert event
 *
 * A metric has crossed its threshold, or what is known of that has changed.
 */
export interface AlertCreated {
  readonly id: string;
  readonly metric: string;
  readonly value: number;
  readonly threshold: number;
  readonly operator: "greater_than" | "less_than" | "equals";
  readonly environment: string;
  readonly severity: "critical" | "high" | "medium" | "low";
  readonly resource_id?: string;
  readonly resource_type?: string;
  readonly triggered_at: string;
  readonly squad?: string;
  readonly [further: string]: unknown;
}

/**
 * The data of `alert.updated`.
 *
 * Alert event
 *
 * A metric has crossed its threshold, or what is known of that has changed.
 */
export interface AlertUpdated {
  readonly id: string;
  readonly metric: string;
  readonly value: number;
  readonly threshold: number;
  readonly operator: "greater_than" | "less_than" | "equals";
  readonly environment: string;
  readonly severity: "critical" | "high" | "medium" | "low";
  readonly resource_id?: string;
  readonly resource_type?: string;
  readonly triggered_at: string;
  readonly squad?: string;
  readonly [further: string]: unknown;
}

/**
 * The data of `notification.created`.
 *
 * Notification event
 *
 * A notice for one user, or for all. `id` may be absent: the contract's own test message has none.
 */
export interface NotificationCreated {
  readonly id?: string;
  readonly title: string;
  readonly message: string;
  readonly type: "info" | "success" | "warning" | "error";
  readonly priority: "low" | "normal" | "high" | "urgent";
  /** Frontend route to navigate to. */
  readonly actionUrl?: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly userId: string;
}

/**
 * The data of `announcement.created`.
 *
 * Notification event
 *
 * A notice for one user, or for all. `id` may be absent: the contract's own test message has none.
 */
export interface AnnouncementCreated {
  readonly id?: string;
  readonly title: string;
  readonly message: string;
  readonly type: "info" | "success" | "warning" | "error";
  readonly priority: "low" | "normal" | "high" | "urgent";
  /** Frontend route to navigate to. */
  readonly actionUrl?: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly environment?: string;
  readonly squad?: string;
}

/**
 * The data of `metric.updated`.
 *
 * Metric event
 *
 * A metric has a new value. `data.timestamp` is when it was measured.
 */
export interface MetricUpdated {
  readonly metric_name: string;
  readonly value: number;
  readonly unit?: string;
  readonly environment?: string;
  readonly timestamp: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly squad?: string;
  readonly [further: string]: unknown;
}

/** The data of each event. */
export interface OpsEvents {
  readonly "incident.created": IncidentCreated;
  readonly "incident.updated": IncidentUpdated;
  readonly "incident.deleted": IncidentDeleted;
  readonly "task.created": TaskCreated;
  readonly "task.updated": TaskUpdated;
  readonly "task.deleted": TaskDeleted;
  readonly "asset.created": AssetCreated;
  readonly "asset.updated": AssetUpdated;
  readonly "asset.deleted": AssetDeleted;
  readonly "alert.created": AlertCreated;
  readonly "alert.updated": AlertUpdated;
  readonly "notification.created": NotificationCreated;
  readonly "announcement.created": AnnouncementCreated;
  readonly "metric.updated": MetricUpdated;
}

/** What the catalog demands of events; the producer checks it before it sends them. */
export const catalog = parseCatalog<OpsEvents>(
  "{\"tenant\":\"ops\",\"messages\":[{\"name\":\"incident\",\"events\":[\"incident.created\",\"incident.updated\",\"incident.deleted\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Incident event\",\"description\":\"An incident was created, updated or deleted. A message carries the record's times as far as the producer states them.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"incident\"},\"action\":{\"enum\":[\"created\",\"updated\",\"deleted\"]},\"data\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},\"jira_id\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},\"severity\":{\"enum\":[\"critical\",\"high\",\"medium\",\"low\"]},\"status\":{\"enum\":[\"open\",\"in_progress\",\"resolved\",\"closed\"]},\"squad\":{\"type\":\"string\"},\"created_at\":{\"type\":\"string\"},\"updated_at\":{\"type\":\"string\"},\"assignee\":{\"type\":\"string\"},\"description\":{\"type\":\"string\"}},\"required\":[\"id\",\"jira_id\",\"title\",\"severity\",\"status\",\"squad\"]},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"action\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"incident\"}],[\"action\",{\"place\":{\"path\":\"action\",\"root\":\"action\",\"steps\":[]}}],[\"data\",{\"place\":{\"path\":\"data\",\"root\":\"data\",\"steps\":[],\"pointer\":\"\",\"optional\":true,\"without_nulls\":true}}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"topic\",\"id\":[\"incidents\"]}],\"sanitize\":{\"text\":\"plain\"},\"attributes\":[[\"environment\",[{\"path\":\"data.environment\",\"root\":\"data\",\"steps\":[\"environment\"],\"pointer\":\"/environment\",\"optional\":true}]],[\"squad\",[{\"path\":\"data.squad\",\"root\":\"data\",\"steps\":[\"squad\"],\"pointer\":\"/squad\",\"optional\":true}]]]},{\"name\":\"task\",\"events\":[\"task.created\",\"task.updated\",\"task.deleted\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Task event\",\"description\":\"A task was created, updated or deleted. A message carries the record's times as far as the producer states them.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"task\"},\"action\":{\"enum\":[\"created\",\"updated\",\"deleted\"]},\"data\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},\"jira_id\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},\"status\":{\"enum\":[\"todo\",\"in_progress\",\"review\",\"done\"]},\"squad\":{\"type\":\"string\"},\"assignee\":{\"type\":\"string\"},\"due_date\":{\"type\":\"string\"},\"priority\":{\"enum\":[\"low\",\"medium\",\"high\"]},\"created_at\":{\"type\":\"string\"},\"updated_at\":{\"type\":\"string\"}},\"required\":[\"id\",\"jira_id\",\"title\",\"status\",\"squad\"]},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"action\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"task\"}],[\"action\",{\"place\":{\"path\":\"action\",\"root\":\"action\",\"steps\":[]}}],[\"data\",{\"place\":{\"path\":\"data\",\"root\":\"data\",\"steps\":[],\"pointer\":\"\",\"optional\":true,\"without_nulls\":true}}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"topic\",\"id\":[\"tasks\"]}],\"sanitize\":{\"text\":\"plain\"},\"attributes\":[[\"environment\",[{\"path\":\"data.environment\",\"root\":\"data\",\"steps\":[\"environment\"],\"pointer\":\"/environment\",\"optional\":true}]],[\"squad\",[{\"path\":\"data.squad\",\"root\":\"data\",\"steps\":[\"squad\"],\"pointer\":\"/squad\",\"optional\":true}]]]},{\"name\":\"asset\",\"events\":[\"asset.created\",\"asset.updated\",\"asset.deleted\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Asset event\",\"description\":\"An asset was created, updated or deleted. A message carries the record's times as far as the producer states them.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"asset\"},\"action\":{\"enum\":[\"created\",\"updated\",\"deleted\"]},\"data\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},\"hostname\":{\"type\":\"string\"},\"asset_type\":{\"type\":\"string\"},\"ip_address\":{\"type\":\"string\"},\"risk_level\":{\"enum\":[\"critical\",\"high\",\"medium\",\"low\"]},\"owner\":{\"type\":\"string\"},\"environment\":{\"enum\":[\"production\",\"staging\",\"sandbox\",\"dev\"]},\"created_at\":{\"type\":\"string\"},\"updated_at\":{\"type\":\"string\"}},\"required\":[\"id\",\"hostname\",\"asset_type\",\"risk_level\",\"environment\"]},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"action\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"asset\"}],[\"action\",{\"place\":{\"path\":\"action\",\"root\":\"action\",\"steps\":[]}}],[\"data\",{\"place\":{\"path\":\"data\",\"root\":\"data\",\"steps\":[],\"pointer\":\"\",\"optional\":true,\"without_nulls\":true}}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"topic\",\"id\":[\"assets\"]}],\"sanitize\":{\"text\":\"plain\"},\"attributes\":[[\"environment\",[{\"path\":\"data.environment\",\"root\":\"data\",\"steps\":[\"environment\"],\"pointer\":\"/environment\",\"optional\":true}]],[\"squad\",[{\"path\":\"data.squad\",\"root\":\"data\",\"steps\":[\"squad\"],\"pointer\":\"/squad\",\"optional\":true}]]]},{\"name\":\"alert\",\"events\":[\"alert.created\",\"alert.updated\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Alert event\",\"description\":\"A metric has crossed its threshold, or what is known of that has changed.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"alert\"},\"action\":{\"enum\":[\"created\",\"updated\"]},\"data\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},\"metric\":{\"type\":\"string\"},\"value\":{\"type\":\"number\"},\"threshold\":{\"type\":\"number\"},\"operator\":{\"enum\":[\"greater_than\",\"less_than\",\"equals\"]},\"environment\":{\"type\":\"string\"},\"severity\":{\"enum\":[\"critical\",\"high\",\"medium\",\"low\"]},\"resource_id\":{\"type\":\"string\"},\"resource_type\":{\"type\":\"string\"},\"triggered_at\":{\"type\":\"string\"}},\"required\":[\"id\",\"metric\",\"value\",\"threshold\",\"operator\",\"environment\",\"severity\",\"triggered_at\"]},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"action\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"alert\"}],[\"action\",{\"place\":{\"path\":\"action\",\"root\":\"action\",\"steps\":[]}}],[\"data\",{\"place\":{\"path\":\"data\",\"root\":\"data\",\"steps\":[],\"pointer\":\"\",\"optional\":true,\"without_nulls\":true}}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"topic\",\"id\":[\"alerts\"]}],\"sanitize\":{\"text\":\"plain\"},\"attributes\":[[\"environment\",[{\"path\":\"data.environment\",\"root\":\"data\",\"steps\":[\"environment\"],\"pointer\":\"/environment\",\"optional\":true}]],[\"squad\",[{\"path\":\"data.squad\",\"root\":\"data\",\"steps\":[\"squad\"],\"pointer\":\"/squad\",\"optional\":true}]]]},{\"name\":\"notification\",\"events\":[\"notification.created\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Notification event\",\"description\":\"A notice for one user, or for all. `id` may be absent: the contract's own test message has none.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"notification\"},\"action\":{\"const\":\"created\"},\"data\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"},\"type\":{\"enum\":[\"info\",\"success\",\"warning\",\"error\"]},\"priority\":{\"enum\":[\"low\",\"normal\",\"high\",\"urgent\"]},\"actionUrl\":{\"type\":\"string\",\"description\":\"Frontend route to navigate to.\"},\"metadata\":{\"type\":\"object\"}},\"required\":[\"title\",\"message\",\"type\",\"priority\"],\"additionalProperties\":false},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"action\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"notification\"}],[\"action\",{\"place\":{\"path\":\"action\",\"root\":\"action\",\"steps\":[]}}],[\"data\",{\"object\":[[\"id\",{\"place\":{\"path\":\"data.id\",\"root\":\"data\",\"steps\":[\"id\"],\"pointer\":\"/id\",\"optional\":true}}],[\"title\",{\"place\":{\"path\":\"data.title\",\"root\":\"data\",\"steps\":[\"title\"],\"pointer\":\"/title\"}}],[\"message\",{\"place\":{\"path\":\"data.message\",\"root\":\"data\",\"steps\":[\"message\"],\"pointer\":\"/message\"}}],[\"type\",{\"place\":{\"path\":\"data.type\",\"root\":\"data\",\"steps\":[\"type\"],\"pointer\":\"/type\"}}],[\"priority\",{\"place\":{\"path\":\"data.priority\",\"root\":\"data\",\"steps\":[\"priority\"],\"pointer\":\"/priority\"}}],[\"actionUrl\",{\"place\":{\"path\":\"data.actionUrl\",\"root\":\"data\",\"steps\":[\"actionUrl\"],\"pointer\":\"/actionUrl\",\"optional\":true}}],[\"metadata\",{\"place\":{\"path\":\"data.metadata\",\"root\":\"data\",\"steps\":[\"metadata\"],\"pointer\":\"/metadata\",\"optional\":true}}]]}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"user\",\"id\":[{\"path\":\"data.userId\",\"root\":\"data\",\"steps\":[\"userId\"],\"pointer\":\"/userId\"}]}],\"sanitize\":{\"text\":\"plain\",\"members\":[[{\"path\":\"data.actionUrl\",\"root\":\"data\",\"steps\":[\"actionUrl\"],\"pointer\":\"/actionUrl\"},\"url\"]]}},{\"name\":\"announcement\",\"events\":[\"announcement.created\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Notification event\",\"description\":\"A notice for one user, or for all. `id` may be absent: the contract's own test message has none.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"notification\"},\"action\":{\"const\":\"created\"},\"data\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"},\"type\":{\"enum\":[\"info\",\"success\",\"warning\",\"error\"]},\"priority\":{\"enum\":[\"low\",\"normal\",\"high\",\"urgent\"]},\"actionUrl\":{\"type\":\"string\",\"description\":\"Frontend route to navigate to.\"},\"metadata\":{\"type\":\"object\"}},\"required\":[\"title\",\"message\",\"type\",\"priority\"],\"additionalProperties\":false},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"action\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"notification\"}],[\"action\",{\"place\":{\"path\":\"action\",\"root\":\"action\",\"steps\":[]}}],[\"data\",{\"object\":[[\"id\",{\"place\":{\"path\":\"data.id\",\"root\":\"data\",\"steps\":[\"id\"],\"pointer\":\"/id\",\"optional\":true}}],[\"title\",{\"place\":{\"path\":\"data.title\",\"root\":\"data\",\"steps\":[\"title\"],\"pointer\":\"/title\"}}],[\"message\",{\"place\":{\"path\":\"data.message\",\"root\":\"data\",\"steps\":[\"message\"],\"pointer\":\"/message\"}}],[\"type\",{\"place\":{\"path\":\"data.type\",\"root\":\"data\",\"steps\":[\"type\"],\"pointer\":\"/type\"}}],[\"priority\",{\"place\":{\"path\":\"data.priority\",\"root\":\"data\",\"steps\":[\"priority\"],\"pointer\":\"/priority\"}}],[\"actionUrl\",{\"place\":{\"path\":\"data.actionUrl\",\"root\":\"data\",\"steps\":[\"actionUrl\"],\"pointer\":\"/actionUrl\",\"optional\":true}}],[\"metadata\",{\"place\":{\"path\":\"data.metadata\",\"root\":\"data\",\"steps\":[\"metadata\"],\"pointer\":\"/metadata\",\"optional\":true}}]]}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"topic\",\"id\":[\"notifications\"]}],\"sanitize\":{\"text\":\"plain\",\"members\":[[{\"path\":\"data.actionUrl\",\"root\":\"data\",\"steps\":[\"actionUrl\"],\"pointer\":\"/actionUrl\"},\"url\"]]},\"attributes\":[[\"environment\",[{\"path\":\"data.environment\",\"root\":\"data\",\"steps\":[\"environment\"],\"pointer\":\"/environment\",\"optional\":true}]],[\"squad\",[{\"path\":\"data.squad\",\"root\":\"data\",\"steps\":[\"squad\"],\"pointer\":\"/squad\",\"optional\":true}]]]},{\"name\":\"metric\",\"events\":[\"metric.updated\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Metric event\",\"description\":\"A metric has a new value. `data.timestamp` is when it was measured.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"metric\"},\"action\":{\"const\":\"updated\"},\"data\":{\"type\":\"object\",\"properties\":{\"metric_name\":{\"type\":\"string\"},\"value\":{\"type\":\"number\"},\"unit\":{\"type\":\"string\"},\"environment\":{\"type\":\"string\"},\"timestamp\":{\"type\":\"string\"},\"metadata\":{\"type\":\"object\"}},\"required\":[\"metric_name\",\"value\",\"timestamp\"]},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"action\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"metric\"}],[\"action\",{\"place\":{\"path\":\"action\",\"root\":\"action\",\"steps\":[]}}],[\"data\",{\"place\":{\"path\":\"data\",\"root\":\"data\",\"steps\":[],\"pointer\":\"\",\"optional\":true,\"without_nulls\":true}}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"topic\",\"id\":[\"metrics\"]}],\"sanitize\":{\"text\":\"plain\"},\"key\":[{\"path\":\"data.metric_name\",\"root\":\"data\",\"steps\":[\"metric_name\"],\"pointer\":\"/metric_name\"},\"/\",{\"path\":\"data.environment\",\"root\":\"data\",\"steps\":[\"environment\"],\"pointer\":\"/environment\",\"optional\":true}],\"attributes\":[[\"environment\",[{\"path\":\"data.environment\",\"root\":\"data\",\"steps\":[\"environment\"],\"pointer\":\"/environment\",\"optional\":true}]],[\"squad\",[{\"path\":\"data.squad\",\"root\":\"data\",\"steps\":[\"squad\"],\"pointer\":\"/squad\",\"optional\":true}]]]}]}",
);

/** The producer of the functions below. Unless it is configured, the environment does it at the first event. */
export const producer = sharedProducer(catalog);

/** Publishes `incident.created`, and resolves when it is stored. */
export function broadcastIncidentCreated(data: IncidentCreated): Promise<Stored> {
  return producer.publish("incident.created", data);
}

/** Publishes `incident.updated`, and resolves when it is stored. */
export function broadcastIncidentUpdated(data: IncidentUpdated): Promise<Stored> {
  return producer.publish("incident.updated", data);
}

/** Publishes `incident.deleted`, and resolves when it is stored. */
export function broadcastIncidentDeleted(data: IncidentDeleted): Promise<Stored> {
  return producer.publish("incident.deleted", data);
}

/** Publishes `task.created`, and resolves when it is stored. */
export function broadcastTaskCreated(data: TaskCreated): Promise<Stored> {
  return producer.publish("task.created", data);
}

/** Publishes `task.updated`, and resolves when it is stored. */
export function broadcastTaskUpdated(data: TaskUpdated): Promise<Stored> {
  return producer.publish("task.updated", data);
}

/** Publishes `task.deleted`, and resolves when it is stored. */
export function broadcastTaskDeleted(data: TaskDeleted): Promise<Stored> {
  return producer.publish("task.deleted", data);
}

/** Publishes `asset.created`, and resolves when it is stored. */
export function broadcastAssetCreated(data: AssetCreated): Promise<Stored> {
  return producer.publish("asset.created", data);
}

/** Publishes `asset.updated`, and resolves when it is stored. */
export function broadcastAssetUpdated(data: AssetUpdated): Promise<Stored> {
  return producer.publish("asset.updated", data);
}

/** Publishes `asset.deleted`, and resolves when it is stored. */
export function broadcastAssetDeleted(data: AssetDeleted): Promise<Stored> {
  return producer.publish("asset.deleted", data);
}

/** Publishes `alert.created`, and resolves when it is stored. */
export function broadcastAlertCreated(data: AlertCreated): Promise<Stored> {
  return producer.publish("alert.created", data);
}

/** Publishes `alert.updated`, and resolves when it is stored. */
export function broadcastAlertUpdated(data: AlertUpdated): Promise<Stored> {
  return producer.publish("alert.updated", data);
}

/** Makes `notification.created` for one user. */
export function createNotificationMessage(
  title: string,
  message: string,
  type: "info" | "success" | "warning" | "error",
  priority: "low" | "normal" | "high" | "urgent",
  id?: string,
  actionUrl?: string,
  metadata?: Readonly<Record<string, unknown>>,
): Message<"user"> {
  return addressed("user", "notification.created", "userId", { title, message, type, priority, id, actionUrl, metadata });
}

/** Publishes `announcement.created`, and resolves when it is stored. */
export function broadcastAnnouncement(data: AnnouncementCreated): Promise<Stored> {
  return producer.publish("announcement.created", data);
}

/** Publishes `metric.updated`, and resolves when it is stored. */
export function broadcastMetric(data: MetricUpdated): Promise<Stored> {
  return producer.publish("metric.updated", data);
}

/** Publishes a message for one user, and resolves when it is stored. */
export function broadcastToUser(userId: string, message: Message<"user">): Promise<Stored> {
  return publishTo(producer, userId, message);
}
