/**
 * Ops Control Center. What its document says the frontend does:
 *
 * | message | query | toast | in the app | besides |
 * | --- | --- | --- | --- | --- |
 * | incident | incidents | yes | link to `/infra?tab=incidents`, urgent if critical | |
 * | task | tasks | yes | link to `/infra?tab=tasks` | |
 * | asset | assets of this environment | yes | | inventory |
 * | alert | | warning | high priority | |
 * | notification | | yes | link to its `actionUrl` | counts as unread |
 * | metric | SLA metrics | | | dashboard |
 *
 * The last 50 notifications are kept in `localStorage`.
 */

import { useMessage, useNotifications, useTidings, useTopic } from "@tidings/react";
import { useState } from "react";

import type { Alert, Asset, Incident, Metric, Notification, OpsCatalog, Task } from "../types/src/ops.js";
import { current, invalidate, publishEvent, useQuery } from "./backend.js";
import { Badge, Empty, Page, Panel, Publish, type Severity, clock, connect, fetched, fresh, pick, useRoute, useToast } from "./frame.js";

const ENVIRONMENTS = ["production", "staging"] as const;
type Environment = (typeof ENVIRONMENTS)[number];

let client: ReturnType<typeof connect> | undefined;

export function Ops({ gateway }: { readonly gateway: string }) {
  client ??= connect<OpsCatalog>(gateway, "ops", { sub: "ada", role: "sre" });
  const [environment, setEnvironment] = useState<Environment>("production");
  const choice = (
    <label>
      Ada, <span className="wide">engineer, looks at</span>{" "}
      <select value={environment} onChange={(event) => setEnvironment(event.target.value as Environment)}>
        {ENVIRONMENTS.map((one) => (
          <option key={one}>{one}</option>
        ))}
      </select>
    </label>
  );
  return (
    <Page name="ops" client={client} user={choice}>
      <Messages environment={environment} />
      <div className="columns">
        <div>
          <Buttons environment={environment} />
          <Sla />
        </div>
        <Infrastructure environment={environment} />
        <Inbox />
      </div>
    </Page>
  );
}

/** What each kind of message does. */
function Messages({ environment }: { readonly environment: Environment }) {
  const toast = useToast();
  useTopic<OpsCatalog>("incidents");
  useTopic<OpsCatalog>("tasks");
  useTopic<OpsCatalog>("alerts");
  useTopic<OpsCatalog>("metrics");
  useTopic<OpsCatalog>("assets", { environment });
  useMessage<OpsCatalog>({ type: "incident" }, (message) => {
    const { action, data } = message as Incident;
    invalidate("incident");
    const severity = data.severity === "critical" ? "error" : "info";
    toast({ title: `Incident ${action}`, text: `${data.jira_id}: ${data.title}`, severity });
  });
  useMessage<OpsCatalog>({ type: "task" }, (message) => {
    const { action, data } = message as Task;
    invalidate("task");
    toast({ title: `Task ${action}`, text: `${data.jira_id}: ${data.title}` });
  });
  useMessage<OpsCatalog>({ type: "asset" }, (message) => {
    const { action, data } = message as Asset;
    invalidate("asset");
    toast({ title: `Asset ${action}`, text: data.hostname });
  });
  // Alerts pass: there is nothing to fetch again.
  useMessage<OpsCatalog>({ type: "alert" }, (message) => {
    toast({ title: "Alert", text: alertText(message as Alert), severity: "warning" });
  });
  useMessage<OpsCatalog>({ type: "notification" }, (message) => {
    const { title, message: text, type } = (message as Notification).data;
    toast({ title, text, severity: type });
  });
  // Too many for toasts.
  useMessage<OpsCatalog>({ type: "metric" }, () => invalidate("metric"));
  return null;
}

const SIGNS = { greater_than: ">", less_than: "<", equals: "=" };
const alertText = ({ data }: Alert) =>
  `${data.metric} ${String(data.value)} ${SIGNS[data.operator]} ${String(data.threshold)} (${data.environment})`;

function Buttons({ environment }: { readonly environment: Environment }) {
  const tidings = useTidings<OpsCatalog>();
  const now = () => new Date().toISOString();
  const squad = "platform";
  const incident = (severity: "critical" | "high") => {
    const id = fresh("inc");
    const title = pick(["API timeout", "Queue full", "Disk full", "Login fails"]);
    return publishEvent("ops", "incident.created", { id, jira_id: id.toUpperCase(), title, severity, status: "open", squad, created_at: now() });
  };
  const actions = [
    { label: "Critical incident", run: () => incident("critical") },
    { label: "Incident", run: () => incident("high") },
    {
      label: "Task",
      run: () => {
        const id = fresh("task");
        const title = pick(["Update certificates", "Rotate keys", "Read the logs"]);
        return publishEvent("ops", "task.created", { id, jira_id: id.toUpperCase(), title, status: "todo", squad, created_at: now() });
      },
    },
    {
      label: "Asset",
      run: () => {
        const id = fresh("asset");
        const asset = { id, hostname: `web-${id.slice(-3)}`, asset_type: "EC2", risk_level: "medium", environment, created_at: now() };
        return publishEvent("ops", "asset.created", asset);
      },
    },
    {
      label: "Alert",
      run: () => {
        const crossed = { metric: "cpu_usage", value: 90 + Math.ceil(Math.random() * 9), threshold: 90, operator: "greater_than" };
        return publishEvent("ops", "alert.created", { id: fresh("alert"), ...crossed, environment, severity: "high", triggered_at: now() });
      },
    },
    {
      // A client may publish this itself, as the catalog says; it goes to nobody but its user.
      label: "Notice to myself",
      run: () =>
        tidings.publish({
          action: "created",
          type: "notification",
          data: { title: "A task is assigned to you", message: "Read it first", type: "info", priority: "normal", actionUrl: "/infra?tab=tasks" },
        }),
    },
    {
      label: "Metric",
      run: () => {
        const value = Math.round(9900 + Math.random() * 100) / 100;
        return publishEvent("ops", "metric.updated", { metric_name: "sla_percentage", value, unit: "percent", environment, timestamp: now() });
      },
    },
  ];
  return <Publish actions={actions} />;
}

function Sla() {
  const query = useQuery<Metric["data"]>("ops", "metric");
  const values = query.data.filter(({ data }) => data.metric_name === "sla_percentage");
  return (
    <Panel title="SLA" note={fetched(query)} id="sla">
      {values[0] ? (
        <p className="figure">
          {values[0].data.value.toFixed(2)} <small>% {values[0].data.environment}</small>
        </p>
      ) : (
        <Empty>No value yet.</Empty>
      )}
    </Panel>
  );
}

const TABS = { incidents: "Incidents", tasks: "Tasks", assets: "Assets" };

/** `/infra?tab=…`, where notifications link to. */
function Infrastructure({ environment }: { readonly environment: Environment }) {
  const tab = new URLSearchParams(useRoute().split("?")[1]).get("tab") ?? "incidents";
  const incidents = useQuery<Incident["data"]>("ops", "incident");
  const tasks = useQuery<Task["data"]>("ops", "task");
  const assets = useQuery<Asset["data"]>("ops", "asset");
  const lists = {
    incidents: [incidents, current(incidents.data).map((one) => [one.id, one.severity, one.title, one.jira_id])],
    tasks: [tasks, current(tasks.data).map((one) => [one.id, one.status, one.title, one.jira_id])],
    assets: [
      assets,
      current(assets.data)
        .filter((one) => one.environment === environment)
        .map((one) => [one.id, one.risk_level, one.hostname, one.asset_type]),
    ],
  } as const;
  const [query, rows] = lists[tab in lists ? (tab as keyof typeof lists) : "incidents"];
  return (
    <Panel title="Infrastructure" note={fetched(query)} id="infra">
      <nav className="tabs" aria-label="Infrastructure">
        {Object.entries(TABS).map(([name, title]) => (
          <a key={name} href={`#/infra?tab=${name}`} {...(name === tab && { "aria-current": "page" })}>
            {title}
          </a>
        ))}
      </nav>
      {rows.length === 0 ? (
        <Empty>Nothing yet. Publish something.</Empty>
      ) : (
        <ul className="rows">
          {rows.slice(0, 12).map(([id = "", kind = "", title, more]) => (
            <li key={id}>
              <Badge kind={kind}>{kind}</Badge> <span>{title}</span> <small>{more}</small>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

interface Entry {
  readonly title: string;
  readonly text: string;
  readonly severity: Severity;
  readonly priority: string;
  readonly link?: string | undefined;
  readonly timestamp: string;
}

const ofIncident = ({ action, data, timestamp }: Incident): Entry => {
  const isCritical = data.severity === "critical";
  const [severity, priority] = isCritical ? (["error", "urgent"] as const) : (["info", "normal"] as const);
  return { title: `Incident ${action}`, text: data.title, severity, priority, link: "/infra?tab=incidents", timestamp };
};
const ofTask = ({ action, data, timestamp }: Task): Entry => {
  return { title: `Task ${action}`, text: data.title, severity: "info", priority: "normal", link: "/infra?tab=tasks", timestamp };
};
const ofAlert = (alert: Alert): Entry => {
  return { title: "Alert", text: alertText(alert), severity: "warning", priority: "high", timestamp: alert.timestamp };
};
const ofNotification = ({ data, timestamp }: Notification): Entry => {
  return { title: data.title, text: data.message, severity: data.type, priority: data.priority, link: data.actionUrl, timestamp };
};

/** The notification panel: four kinds of messages, each kept over reloads and the same in all tabs. */
function Inbox() {
  const incidents = useNotifications<OpsCatalog, { type: "incident" }>({ pattern: { type: "incident" }, name: "ops:incidents" });
  const tasks = useNotifications<OpsCatalog, { type: "task" }>({ pattern: { type: "task" }, name: "ops:tasks" });
  const alerts = useNotifications<OpsCatalog, { type: "alert" }>({ pattern: { type: "alert" }, name: "ops:alerts" });
  const notifications = useNotifications<OpsCatalog>({ name: "ops:notifications" });
  const all = [incidents, tasks, alerts, notifications];
  const unread = all.reduce((sum, one) => sum + one.unread, 0);
  const entries = [
    ...incidents.messages.map(ofIncident),
    ...tasks.messages.map(ofTask),
    ...alerts.messages.map(ofAlert),
    ...notifications.messages.map(ofNotification),
  ];
  entries.sort((one, other) => other.timestamp.localeCompare(one.timestamp));
  const note = (
    <span aria-live="polite" id="unread" data-unread={unread}>
      {unread} unread
    </span>
  );
  return (
    <Panel title="Notifications" note={note} id="inbox">
      {entries.length === 0 ? (
        <Empty>Nothing has come yet.</Empty>
      ) : (
        <ul className="entries">
          {entries.slice(0, 50).map((entry, index) => (
            <li key={entry.timestamp + String(index)} className={entry.severity}>
              <strong>{entry.title}</strong> {entry.priority !== "normal" && <Badge kind={entry.priority}>{entry.priority}</Badge>}
              <p>{entry.text}</p>
              <small>
                {clock(entry.timestamp)} {entry.link && <a href={`#${entry.link}`}>Open</a>}
              </small>
            </li>
          ))}
        </ul>
      )}
      <div className="buttons">
        <button disabled={unread === 0} onClick={() => all.forEach((one) => one.markRead())}>
          Mark all read
        </button>
        <button disabled={entries.length === 0} onClick={() => all.forEach((one) => one.clear())}>
          Clear
        </button>
      </div>
    </Panel>
  );
}
