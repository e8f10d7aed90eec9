"""The events of tenant `ops`, for producers; written by
`tidings types --tenant ops --lang python`.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from tidings_producer import Catalog, Event

__all__ = ["CATALOG", "IncidentCreated", "incident_created", "IncidentUpdated", "incident_updated", "IncidentDeleted", "incident_deleted", "TaskCreated", "task_created", "TaskUpdated", "task_updated", "TaskDeleted", "task_deleted", "AssetCreated", "asset_created", "AssetUpdated", "asset_updated", "AssetDeleted", "asset_deleted", "AlertCreated", "alert_created", "AlertUpdated", "alert_updated", "NotificationCreated", "notification_created", "AnnouncementCreated", "announcement_created", "MetricUpdated", "metric_updated"]


class IncidentCreatedRequired(TypedDict):
    id: str
    jira_id: str
    title: str
    severity: Literal["critical", "high", "medium", "low"]
    status: Literal["open", "in_progress", "resolved", "closed"]
    squad: str


class IncidentCreated(IncidentCreatedRequired, total=False):
    """The data of `incident.created`.

    Incident event

    An incident was created, updated or deleted. A message carries the record's times as far as the producer states them.

    Further members are allowed.
    """

    created_at: str
    updated_at: str
    assignee: str
    description: str
    environment: str


class IncidentUpdatedRequired(TypedDict):
    id: str
    jira_id: str
    title: str
    severity: Literal["critical", "high", "medium", "low"]
    status: Literal["open", "in_progress", "resolved", "closed"]
    squad: str


class IncidentUpdated(IncidentUpdatedRequired, total=False):
    """The data of `incident.updated`.

    Incident event

    An incident was created, updated or deleted. A message carries the record's times as far as the producer states them.

    Further members are allowed.
    """

    created_at: str
    updated_at: str
    assignee: str
    description: str
    environment: str


class IncidentDeletedRequired(TypedDict):
    id: str
    jira_id: str
    title: str
    severity: Literal["critical", "high", "medium", "low"]
    status: Literal["open", "in_progress", "resolved", "closed"]
    squad: str


class IncidentDeleted(IncidentDeletedRequired, total=False):
    """The data of `incident.deleted`.

    Incident event

    An incident was created, updated or deleted. A message carries the record's times as far as the producer states them.

    Further members are allowed.
    """

    created_at: str
    updated_at: str
    assignee: str
    description: str
    environment: str


class TaskCreatedRequired(TypedDict):
    id: str
    jira_id: str
    title: str
    status: Literal["todo", "in_progress", "review", "done"]
    squad: str


class TaskCreated(TaskCreatedRequired, total=False):
    """The data of `task.created`.

    Task event

    A task was created, updated or deleted. A message carries the record's times as far as the producer states them.

    Further members are allowed.
    """

    assignee: str
    due_date: str
    priority: Literal["low", "medium", "high"]
    created_at: str
    updated_at: str
    environment: str


class TaskUpdatedRequired(TypedDict):
    id: str
    jira_id: str
    title: str
    status: Literal["todo", "in_progress", "review", "done"]
    squad: str


class TaskUpdated(TaskUpdatedRequired, total=False):
    """The data of `task.updated`.

    Task event

    A task was created, updated or deleted. A message carries the record's times as far as the producer states them.

    Further members are allowed.
    """

    assignee: str
    due_date: str
    priority: Literal["low", "medium", "high"]
    created_at: str
    updated_at: str
    environment: str


class TaskDeletedRequired(TypedDict):
    id: str
    jira_id: str
    title: str
    status: Literal["todo", "in_progress", "review", "done"]
    squad: str


class TaskDeleted(TaskDeletedRequired, total=False):
    """The data of `task.deleted`.

    Task event

    A task was created, updated or deleted. A message carries the record's times as far as the producer states them.

    Further members are allowed.
    """

    assignee: str
    due_date: str
    priority: Literal["low", "medium", "high"]
    created_at: str
    updated_at: str
    environment: str


class AssetCreatedRequired(TypedDict):
    id: str
    hostname: str
    asset_type: str
    risk_level: Literal["critical", "high", "medium", "low"]
    environment: Literal["production", "staging", "sandbox", "dev"]


class AssetCreated(AssetCreatedRequired, total=False):
    """The data of `asset.created`.

    Asset event

    An asset was created, updated or deleted. A message carries the record's times as far as the producer states them.

    Further members are allowed.
    """

    ip_address: str
    owner: str
    created_at: str
    updated_at: str
    squad: str


class AssetUpdatedRequired(TypedDict):
    id: str
    hostname: str
    asset_type: str
    risk_level: Literal["critical", "high", "medium", "low"]
    environment: Literal["production", "staging", "sandbox", "dev"]


class AssetUpdated(AssetUpdatedRequired, total=False):
    """The data of `asset.updated`.

    Asset event

    An asset was created, updated or deleted. A message carries the record's times as far as the producer states them.

    Further members are allowed.
    """

    ip_address: str
    owner: str
    created_at: str
    updated_at: str
    squad: str


class AssetDeletedRequired(TypedDict):
    id: str
    hostname: str
    asset_type: str
    risk_level: Literal["critical", "high", "medium", "low"]
    environment: Literal["production", "staging", "sandbox", "dev"]


class AssetDeleted(AssetDeletedRequired, total=False):
    """The data of `asset.deleted`.

    Asset event

    An asset was created, updated or deleted. A message carries the record's times as far as the producer states them.

    Further members are allowed.
    """

    ip_address: str
    owner: str
    created_at: str
    updated_at: str
    squad: str


class AlertCreatedRequired(TypedDict):
    id: str
    metric: str
    value: float
    threshold: float
    operator: Literal["greater_than", "less_than", "equals"]
    environment: str
    severity: Literal["critical", "high", "medium", "low"]
    triggered_at: str


class AlertCreated(AlertCreatedRequired, total=False):
    """The data of `alert.created`.

    Alert event

    A metric has crossed its threshold, or what is known of that has changed.

    Further members are allowed.
    """

    resource_id: str
    resource_type: str
    squad: str


class AlertUpdatedRequired(TypedDict):
    id: str
    metric: str
    value: float
    threshold: float
    operator: Literal["greater_than", "less_than", "equals"]
    environment: str
    severity: Literal["critical", "high", "medium", "low"]
    triggered_at: str


class AlertUpdated(AlertUpdatedRequired, total=False):
    """The data of `alert.updated`.

    Alert event

    A metric has crossed its threshold, or what is known of that has changed.

    Further members are allowed.
    """

    resource_id: str
    resource_type: str
    squad: str


class NotificationCreatedRequired(TypedDict):
    title: str
    message: str
    type: Literal["info", "success", "warning", "error"]
    priority: Literal["low", "normal", "high", "urgent"]
    userId: str


class NotificationCreated(NotificationCreatedRequired, total=False):
    """The data of `notification.created`.

    Notification event

    A notice for one user, or for all. `id` may be absent: the contract's own test message has none.
    """

    id: str
    # Frontend route to navigate to.
    actionUrl: str
    metadata: dict[str, Any]


class AnnouncementCreatedRequired(TypedDict):
    title: str
    message: str
    type: Literal["info", "success", "warning", "error"]
    priority: Literal["low", "normal", "high", "urgent"]


class AnnouncementCreated(AnnouncementCreatedRequired, total=False):
    """The data of `announcement.created`.

    Notification event

    A notice for one user, or for all. `id` may be absent: the contract's own test message has none.
    """

    id: str
    # Frontend route to navigate to.
    actionUrl: str
    metadata: dict[str, Any]
    environment: str
    squad: str


class MetricUpdatedRequired(TypedDict):
    metric_name: str
    value: float
    timestamp: str


class MetricUpdated(MetricUpdatedRequired, total=False):
    """The data of `metric.updated`.

    Metric event

    A metric has a new value. `data.timestamp` is when it was measured.

    Further members are allowed.
    """

    unit: str
    environment: str
    metadata: dict[str, Any]
    squad: str


#: What the catalog demands of events; the producer checks it before it sends them.
CATALOG = Catalog.parse(
    "{\"tenant\":\"ops\",\"messages\":[{\"name\":\"incident\",\"events\":[\"incident.created\",\"incident.updated\",\"incident.deleted\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Incident event\",\"description\":\"An incident was created, updated or deleted. A message carries the record's times as far as the producer states them.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"incident\"},\"action\":{\"enum\":[\"created\",\"updated\",\"deleted\"]},\"data\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},\"jira_id\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},\"severity\":{\"enum\":[\"critical\",\"high\",\"medium\",\"low\"]},\"status\":{\"enum\":[\"open\",\"in_progress\",\"resolved\",\"closed\"]},\"squad\":{\"type\":\"string\"},\"created_at\":{\"type\":\"string\"},\"updated_at\":{\"type\":\"string\"},\"assignee\":{\"type\":\"string\"},\"description\":{\"type\":\"string\"}},\"required\":[\"id\",\"jira_id\",\"title\",\"severity\",\"status\",\"squad\"]},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"action\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"incident\"}],[\"action\",{\"place\":{\"path\":\"action\",\"root\":\"action\",\"steps\":[]}}],[\"data\",{\"place\":{\"path\":\"data\",\"root\":\"data\",\"steps\":[],\"pointer\":\"\",\"optional\":true,\"without_nulls\":true}}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"topic\",\"id\":[\"incidents\"]}],\"sanitize\":{\"text\":\"plain\"},\"attributes\":[[\"environment\",[{\"path\":\"data.environment\",\"root\":\"data\",\"steps\":[\"environment\"],\"pointer\":\"/environment\",\"optional\":true}]],[\"squad\",[{\"path\":\"data.squad\",\"root\":\"data\",\"steps\":[\"squad\"],\"pointer\":\"/squad\",\"optional\":true}]]]},{\"name\":\"task\",\"events\":[\"task.created\",\"task.updated\",\"task.deleted\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Task event\",\"description\":\"A task was created, updated or deleted. A message carries the record's times as far as the producer states them.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"task\"},\"action\":{\"enum\":[\"created\",\"updated\",\"deleted\"]},\"data\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},\"jira_id\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},\"status\":{\"enum\":[\"todo\",\"in_progress\",\"review\",\"done\"]},\"squad\":{\"type\":\"string\"},\"assignee\":{\"type\":\"string\"},\"due_date\":{\"type\":\"string\"},\"priority\":{\"enum\":[\"low\",\"medium\",\"high\"]},\"created_at\":{\"type\":\"string\"},\"updated_at\":{\"type\":\"string\"}},\"required\":[\"id\",\"jira_id\",\"title\",\"status\",\"squad\"]},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"action\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"task\"}],[\"action\",{\"place\":{\"path\":\"action\",\"root\":\"action\",\"steps\":[]}}],[\"data\",{\"place\":{\"path\":\"data\",\"root\":\"data\",\"steps\":[],\"pointer\":\"\",\"optional\":true,\"without_nulls\":true}}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"topic\",\"id\":[\"tasks\"]}],\"sanitize\":{\"text\":\"plain\"},\"attributes\":[[\"environment\",[{\"path\":\"data.environment\",\"root\":\"data\",\"steps\":[\"environment\"],\"pointer\":\"/environment\",\"optional\":true}]],[\"squad\",[{\"path\":\"data.squad\",\"root\":\"data\",\"steps\":[\"squad\"],\"pointer\":\"/squad\",\"optional\":true}]]]},{\"name\":\"asset\",\"events\":[\"asset.created\",\"asset.updated\",\"asset.deleted\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Asset event\",\"description\":\"An asset was created, updated or deleted. A message carries the record's times as far as the producer states them.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"asset\"},\"action\":{\"enum\":[\"created\",\"updated\",\"deleted\"]},\"data\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},\"hostname\":{\"type\":\"string\"},\"asset_type\":{\"type\":\"string\"},\"ip_address\":{\"type\":\"string\"},\"risk_level\":{\"enum\":[\"critical\",\"high\",\"medium\",\"low\"]},\"owner\":{\"type\":\"string\"},\"environment\":{\"enum\":[\"production\",\"staging\",\"sandbox\",\"dev\"]},\"created_at\":{\"type\":\"string\"},\"updated_at\":{\"type\":\"string\"}},\"required\":[\"id\",\"hostname\",\"asset_type\",\"risk_level\",\"environment\"]},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"action\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"asset\"}],[\"action\",{\"place\":{\"path\":\"action\",\"root\":\"action\",\"steps\":[]}}],[\"data\",{\"place\":{\"path\":\"data\",\"root\":\"data\",\"steps\":[],\"pointer\":\"\",\"optional\":true,\"without_nulls\":true}}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"topic\",\"id\":[\"assets\"]}],\"sanitize\":{\"text\":\"plain\"},\"attributes\":[[\"environment\",[{\"path\":\"data.environment\",\"root\":\"data\",\"steps\":[\"environment\"],\"pointer\":\"/environment\",\"optional\":true}]],[\"squad\",[{\"path\":\"data.squad\",\"root\":\"data\",\"steps\":[\"squad\"],\"pointer\":\"/squad\",\"optional\":true}]]]},{\"name\":\"alert\",\"events\":[\"alert.created\",\"alert.updated\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Alert event\",\"description\":\"A metric has crossed its threshold, or what is known of that has changed.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"alert\"},\"action\":{\"enum\":[\"created\",\"updated\"]},\"data\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},\"metric\":{\"type\":\"string\"},\"value\":{\"type\":\"number\"},\"threshold\":{\"type\":\"number\"},\"operator\":{\"enum\":[\"greater_than\",\"less_than\",\"equals\"]},\"environment\":{\"type\":\"string\"},\"severity\":{\"enum\":[\"critical\",\"high\",\"medium\",\"low\"]},\"resource_id\":{\"type\":\"string\"},\"resource_type\":{\"type\":\"string\"},\"triggered_at\":{\"type\":\"string\"}},\"required\":[\"id\",\"metric\",\"value\",\"threshold\",\"operator\",\"environment\",\"severity\",\"triggered_at\"]},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"action\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"alert\"}],[\"action\",{\"place\":{\"path\":\"action\",\"root\":\"action\",\"steps\":[]}}],[\"data\",{\"place\":{\"path\":\"data\",\"root\":\"data\",\"steps\":[],\"pointer\":\"\",\"optional\":true,\"without_nulls\":true}}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"topic\",\"id\":[\"alerts\"]}],\"sanitize\":{\"text\":\"plain\"},\"attributes\":[[\"environment\",[{\"path\":\"data.environment\",\"root\":\"data\",\"steps\":[\"environment\"],\"pointer\":\"/environment\",\"optional\":true}]],[\"squad\",[{\"path\":\"data.squad\",\"root\":\"data\",\"steps\":[\"squad\"],\"pointer\":\"/squad\",\"optional\":true}]]]},{\"name\":\"notification\",\"events\":[\"notification.created\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Notification event\",\"description\":\"A notice for one user, or for all. `id` may be absent: the contract's own test message has none.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"notification\"},\"action\":{\"const\":\"created\"},\"data\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"},\"type\":{\"enum\":[\"info\",\"success\",\"warning\",\"error\"]},\"priority\":{\"enum\":[\"low\",\"normal\",\"high\",\"urgent\"]},\"actionUrl\":{\"type\":\"string\",\"description\":\"Frontend route to navigate to.\"},\"metadata\":{\"type\":\"object\"}},\"required\":[\"title\",\"message\",\"type\",\"priority\"],\"additionalProperties\":false},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"action\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"notification\"}],[\"action\",{\"place\":{\"path\":\"action\",\"root\":\"action\",\"steps\":[]}}],[\"data\",{\"object\":[[\"id\",{\"place\":{\"path\":\"data.id\",\"root\":\"data\",\"steps\":[\"id\"],\"pointer\":\"/id\",\"optional\":true}}],[\"title\",{\"place\":{\"path\":\"data.title\",\"root\":\"data\",\"steps\":[\"title\"],\"pointer\":\"/title\"}}],[\"message\",{\"place\":{\"path\":\"data.message\",\"root\":\"data\",\"steps\":[\"message\"],\"pointer\":\"/message\"}}],[\"type\",{\"place\":{\"path\":\"data.type\",\"root\":\"data\",\"steps\":[\"type\"],\"pointer\":\"/type\"}}],[\"priority\",{\"place\":{\"path\":\"data.priority\",\"root\":\"data\",\"steps\":[\"priority\"],\"pointer\":\"/priority\"}}],[\"actionUrl\",{\"place\":{\"path\":\"data.actionUrl\",\"root\":\"data\",\"steps\":[\"actionUrl\"],\"pointer\":\"/actionUrl\",\"optional\":true}}],[\"metadata\",{\"place\":{\"path\":\"data.metadata\",\"root\":\"data\",\"steps\":[\"metadata\"],\"pointer\":\"/metadata\",\"optional\":true}}]]}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"user\",\"id\":[{\"path\":\"data.userId\",\"root\":\"data\",\"steps\":[\"userId\"],\"pointer\":\"/userId\"}]}],\"sanitize\":{\"text\":\"plain\",\"members\":[[{\"path\":\"data.actionUrl\",\"root\":\"data\",\"steps\":[\"actionUrl\"],\"pointer\":\"/actionUrl\"},\"url\"]]}},{\"name\":\"announcement\",\"events\":[\"announcement.created\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Notification event\",\"description\":\"A notice for one user, or for all. `id` may be absent: the contract's own test message has none.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"notification\"},\"action\":{\"const\":\"created\"},\"data\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"},\"type\":{\"enum\":[\"info\",\"success\",\"warning\",\"error\"]},\"priority\":{\"enum\":[\"low\",\"normal\",\"high\",\"urgent\"]},\"actionUrl\":{\"type\":\"string\",\"description\":\"Frontend route to navigate to.\"},\"metadata\":{\"type\":\"object\"}},\"required\":[\"title\",\"message\",\"type\",\"priority\"],\"additionalProperties\":false},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"action\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"notification\"}],[\"action\",{\"place\":{\"path\":\"action\",\"root\":\"action\",\"steps\":[]}}],[\"data\",{\"object\":[[\"id\",{\"place\":{\"path\":\"data.id\",\"root\":\"data\",\"steps\":[\"id\"],\"pointer\":\"/id\",\"optional\":true}}],[\"title\",{\"place\":{\"path\":\"data.title\",\"root\":\"data\",\"steps\":[\"title\"],\"pointer\":\"/title\"}}],[\"message\",{\"place\":{\"path\":\"data.message\",\"root\":\"data\",\"steps\":[\"message\"],\"pointer\":\"/message\"}}],[\"type\",{\"place\":{\"path\":\"data.type\",\"root\":\"data\",\"steps\":[\"type\"],\"pointer\":\"/type\"}}],[\"priority\",{\"place\":{\"path\":\"data.priority\",\"root\":\"data\",\"steps\":[\"priority\"],\"pointer\":\"/priority\"}}],[\"actionUrl\",{\"place\":{\"path\":\"data.actionUrl\",\"root\":\"data\",\"steps\":[\"actionUrl\"],\"pointer\":\"/actionUrl\",\"optional\":true}}],[\"metadata\",{\"place\":{\"path\":\"data.metadata\",\"root\":\"data\",\"steps\":[\"metadata\"],\"pointer\":\"/metadata\",\"optional\":true}}]]}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"topic\",\"id\":[\"notifications\"]}],\"sanitize\":{\"text\":\"plain\",\"members\":[[{\"path\":\"data.actionUrl\",\"root\":\"data\",\"steps\":[\"actionUrl\"],\"pointer\":\"/actionUrl\"},\"url\"]]},\"attributes\":[[\"environment\",[{\"path\":\"data.environment\",\"root\":\"data\",\"steps\":[\"environment\"],\"pointer\":\"/environment\",\"optional\":true}]],[\"squad\",[{\"path\":\"data.squad\",\"root\":\"data\",\"steps\":[\"squad\"],\"pointer\":\"/squad\",\"optional\":true}]]]},{\"name\":\"metric\",\"events\":[\"metric.updated\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Metric event\",\"description\":\"A metric has a new value. `data.timestamp` is when it was measured.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"metric\"},\"action\":{\"const\":\"updated\"},\"data\":{\"type\":\"object\",\"properties\":{\"metric_name\":{\"type\":\"string\"},\"value\":{\"type\":\"number\"},\"unit\":{\"type\":\"string\"},\"environment\":{\"type\":\"string\"},\"timestamp\":{\"type\":\"string\"},\"metadata\":{\"type\":\"object\"}},\"required\":[\"metric_name\",\"value\",\"timestamp\"]},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"action\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"metric\"}],[\"action\",{\"place\":{\"path\":\"action\",\"root\":\"action\",\"steps\":[]}}],[\"data\",{\"place\":{\"path\":\"data\",\"root\":\"data\",\"steps\":[],\"pointer\":\"\",\"optional\":true,\"without_nulls\":true}}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"topic\",\"id\":[\"metrics\"]}],\"sanitize\":{\"text\":\"plain\"},\"key\":[{\"path\":\"data.metric_name\",\"root\":\"data\",\"steps\":[\"metric_name\"],\"pointer\":\"/metric_name\"},\"/\",{\"path\":\"data.environment\",\"root\":\"data\",\"steps\":[\"environment\"],\"pointer\":\"/environment\",\"optional\":true}],\"attributes\":[[\"environment\",[{\"path\":\"data.environment\",\"root\":\"data\",\"steps\":[\"environment\"],\"pointer\":\"/environment\",\"optional\":true}]],[\"squad\",[{\"path\":\"data.squad\",\"root\":\"data\",\"steps\":[\"squad\"],\"pointer\":\"/squad\",\"optional\":true}]]]}]}"
)


def incident_created(
    data: IncidentCreated,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `incident.created`."""
    return Event("incident.created", data, id=id, subject=subject, time=time)


def incident_updated(
    data: IncidentUpdated,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `incident.updated`."""
    return Event("incident.updated", data, id=id, subject=subject, time=time)


def incident_deleted(
    data: IncidentDeleted,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `incident.deleted`."""
    return Event("incident.deleted", data, id=id, subject=subject, time=time)


def task_created(
    data: TaskCreated,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `task.created`."""
    return Event("task.created", data, id=id, subject=subject, time=time)


def task_updated(
    data: TaskUpdated,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `task.updated`."""
    return Event("task.updated", data, id=id, subject=subject, time=time)


def task_deleted(
    data: TaskDeleted,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `task.deleted`."""
    return Event("task.deleted", data, id=id, subject=subject, time=time)


def asset_created(
    data: AssetCreated,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `asset.created`."""
    return Event("asset.created", data, id=id, subject=subject, time=time)


def asset_updated(
    data: AssetUpdated,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `asset.updated`."""
    return Event("asset.updated", data, id=id, subject=subject, time=time)


def asset_deleted(
    data: AssetDeleted,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `asset.deleted`."""
    return Event("asset.deleted", data, id=id, subject=subject, time=time)


def alert_created(
    data: AlertCreated,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `alert.created`."""
    return Event("alert.created", data, id=id, subject=subject, time=time)


def alert_updated(
    data: AlertUpdated,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `alert.updated`."""
    return Event("alert.updated", data, id=id, subject=subject, time=time)


def notification_created(
    data: NotificationCreated,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `notification.created`."""
    return Event("notification.created", data, id=id, subject=subject, time=time)


def announcement_created(
    data: AnnouncementCreated,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `announcement.created`."""
    return Event("announcement.created", data, id=id, subject=subject, time=time)


def metric_updated(
    data: MetricUpdated,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `metric.updated`."""
    return Event("metric.updated", data, id=id, subject=subject, time=time)
