// The messages of tenant `ops`, written by `tidings types --tenant ops --lang ts`.

import type { Catalog } from "@tidings/client";

/**
 * Incident event
 *
 * An incident was created, updated or deleted. A message carries the record's times as far as the producer states them.
 */
export interface Incident {
  readonly type: "incident";
  readonly action: "created" | "updated" | "deleted";
  readonly data: {
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
  };
  readonly timestamp: string;
}

/**
 * Task event
 *
 * A task was created, updated or deleted. A message carries the record's times as far as the producer states them.
 */
export interface Task {
  readonly type: "task";
  readonly action: "created" | "updated" | "deleted";
  readonly data: {
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
  };
  readonly timestamp: string;
}

/**
 * Asset event
 *
 * An asset was created, updated or deleted. A message carries the record's times as far as the producer states them.
 */
export interface Asset {
  readonly type: "asset";
  readonly action: "created" | "updated" | "deleted";
  readonly data: {
    readonly id: string;
    readonly hostname: string;
    readonly asset_type: string;
    readonly ip_address?: string;
    readonly risk_level: "critical" | "high" | "medium" | "low";
    readonly owner?: string;
    readonly environment: "production" | "staging" | "sandbox" | "dev";
    readonly created_at?: string;
    readonly updated_at?: string;
  };
  readonly timestamp: string;
}

/**
 * Alert event
 *
 * A metric has crossed its threshold, or what is known of that has changed.
 */
export interface Alert {
  readonly type: "alert";
  readonly action: "created" | "updated";
  readonly data: {
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
  };
  readonly timestamp: string;
}

/**
 * Notification event
 *
 * A notice for one user, or for all. `id` may be absent: the contract's own test message has none.
 */
export interface Notification {
  readonly type: "notification";
  readonly action: "created";
  readonly data: {
    readonly id?: string;
    readonly title: string;
    readonly message: string;
    readonly type: "info" | "success" | "warning" | "error";
    readonly priority: "low" | "normal" | "high" | "urgent";
    /** Frontend route to navigate to. */
    readonly actionUrl?: string;
    readonly metadata?: Readonly<Record<string, unknown>>;
  };
  readonly timestamp: string;
}

/**
 * Notification event
 *
 * A notice for one user, or for all. `id` may be absent: the contract's own test message has none.
 */
export interface Announcement {
  readonly type: "notification";
  readonly action: "created";
  readonly data: {
    readonly id?: string;
    readonly title: string;
    readonly message: string;
    readonly type: "info" | "success" | "warning" | "error";
    readonly priority: "low" | "normal" | "high" | "urgent";
    /** Frontend route to navigate to. */
    readonly actionUrl?: string;
    readonly metadata?: Readonly<Record<string, unknown>>;
  };
  readonly timestamp: string;
}

/**
 * Metric event
 *
 * A metric has a new value. `data.timestamp` is when it was measured.
 */
export interface Metric {
  readonly type: "metric";
  readonly action: "updated";
  readonly data: {
    readonly metric_name: string;
    readonly value: number;
    readonly unit?: string;
    readonly environment?: string;
    readonly timestamp: string;
    readonly metadata?: Readonly<Record<string, unknown>>;
  };
  readonly timestamp: string;
}

/** Every message that a client may receive. */
export type OpsMessage = Incident | Task | Asset | Alert | Notification | Announcement | Metric;

/** What the catalog permits: `createClient<OpsCatalog>(…)`. */
export interface OpsCatalog extends Catalog {
  readonly message: OpsMessage;
  readonly topics: {
    readonly alerts: "environment" | "squad";
    readonly assets: "environment" | "squad";
    readonly incidents: "environment" | "squad";
    readonly metrics: "environment" | "squad";
    readonly notifications: "environment" | "squad";
    readonly tasks: "environment" | "squad";
  };
  readonly routes: {};
  readonly publication: {
    readonly action: "created";
    readonly type: "incident";
    readonly data: {
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
    };
  } | {
    readonly action: "created";
    readonly type: "notification";
    readonly data: {
      readonly id?: string;
      readonly title: string;
      readonly message: string;
      readonly type: "info" | "success" | "warning" | "error";
      readonly priority: "low" | "normal" | "high" | "urgent";
      readonly actionUrl?: string;
      readonly metadata?: Readonly<Record<string, unknown>>;
    };
  };
}
