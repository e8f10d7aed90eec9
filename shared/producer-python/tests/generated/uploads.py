"""The events of tenant `uploads`, for producers; written by
`tidings types --tenant uploads --lang python`.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from tidings_producer import Catalog, Event

__all__ = ["CATALOG", "UploadProgressed", "upload_progressed", "NotificationCreated", "notification_created", "ErrorOccurred", "error_occurred"]


class UploadProgressedRequired(TypedDict):
    uploadId: str
    fileName: str
    # Percent.
    progress: float
    message: str
    userId: str


class UploadProgressed(UploadProgressedRequired, total=False):
    """The data of `upload.progressed`.

    Upload progress

    How far the processing of an upload has come.
    """

    currentRow: int
    totalRows: int


class NotificationCreatedRequired(TypedDict):
    title: str
    message: str
    severity: Literal["info", "success", "warning", "error"]
    userId: str


class NotificationCreated(NotificationCreatedRequired, total=False):
    """The data of `notification.created`.

    Notification

    A notice for one user.
    """

    actionUrl: str
    actionLabel: str


class ErrorOccurredRequired(TypedDict):
    code: str
    message: str
    userId: str


class ErrorOccurred(ErrorOccurredRequired, total=False):
    """The data of `error.occurred`.

    Error

    Something that the user asked for has failed.
    """

    # Whatever helps to understand the error, of any type.
    details: Any


#: What the catalog demands of events; the producer checks it before it sends them.
CATALOG = Catalog.parse(
    "{\"tenant\":\"uploads\",\"messages\":[{\"name\":\"upload_progress\",\"events\":[\"upload.progressed\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Upload progress\",\"description\":\"How far the processing of an upload has come.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"upload_progress\"},\"data\":{\"type\":\"object\",\"properties\":{\"uploadId\":{\"type\":\"string\",\"minLength\":1},\"fileName\":{\"type\":\"string\"},\"progress\":{\"type\":\"number\",\"minimum\":0,\"maximum\":100,\"description\":\"Percent.\"},\"currentRow\":{\"type\":\"integer\",\"minimum\":0},\"totalRows\":{\"type\":\"integer\",\"minimum\":0},\"message\":{\"type\":\"string\"}},\"required\":[\"uploadId\",\"fileName\",\"progress\",\"message\"],\"additionalProperties\":false},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"upload_progress\"}],[\"data\",{\"object\":[[\"uploadId\",{\"place\":{\"path\":\"data.uploadId\",\"root\":\"data\",\"steps\":[\"uploadId\"],\"pointer\":\"/uploadId\"}}],[\"fileName\",{\"place\":{\"path\":\"data.fileName\",\"root\":\"data\",\"steps\":[\"fileName\"],\"pointer\":\"/fileName\"}}],[\"progress\",{\"place\":{\"path\":\"data.progress\",\"root\":\"data\",\"steps\":[\"progress\"],\"pointer\":\"/progress\"}}],[\"currentRow\",{\"place\":{\"path\":\"data.currentRow\",\"root\":\"data\",\"steps\":[\"currentRow\"],\"pointer\":\"/currentRow\",\"optional\":true}}],[\"totalRows\",{\"place\":{\"path\":\"data.totalRows\",\"root\":\"data\",\"steps\":[\"totalRows\"],\"pointer\":\"/totalRows\",\"optional\":true}}],[\"message\",{\"place\":{\"path\":\"data.message\",\"root\":\"data\",\"steps\":[\"message\"],\"pointer\":\"/message\"}}]]}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"user\",\"id\":[{\"path\":\"data.userId\",\"root\":\"data\",\"steps\":[\"userId\"],\"pointer\":\"/userId\"}]}],\"key\":[{\"path\":\"data.uploadId\",\"root\":\"data\",\"steps\":[\"uploadId\"],\"pointer\":\"/uploadId\"}]},{\"name\":\"notification\",\"events\":[\"notification.created\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Notification\",\"description\":\"A notice for one user.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"notification\"},\"data\":{\"type\":\"object\",\"properties\":{\"title\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"},\"severity\":{\"enum\":[\"info\",\"success\",\"warning\",\"error\"]},\"actionUrl\":{\"type\":\"string\"},\"actionLabel\":{\"type\":\"string\"}},\"required\":[\"title\",\"message\",\"severity\"],\"additionalProperties\":false},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"notification\"}],[\"data\",{\"object\":[[\"title\",{\"place\":{\"path\":\"data.title\",\"root\":\"data\",\"steps\":[\"title\"],\"pointer\":\"/title\"}}],[\"message\",{\"place\":{\"path\":\"data.message\",\"root\":\"data\",\"steps\":[\"message\"],\"pointer\":\"/message\"}}],[\"severity\",{\"place\":{\"path\":\"data.severity\",\"root\":\"data\",\"steps\":[\"severity\"],\"pointer\":\"/severity\"}}],[\"actionUrl\",{\"place\":{\"path\":\"data.actionUrl\",\"root\":\"data\",\"steps\":[\"actionUrl\"],\"pointer\":\"/actionUrl\",\"optional\":true}}],[\"actionLabel\",{\"place\":{\"path\":\"data.actionLabel\",\"root\":\"data\",\"steps\":[\"actionLabel\"],\"pointer\":\"/actionLabel\",\"optional\":true}}]]}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"user\",\"id\":[{\"path\":\"data.userId\",\"root\":\"data\",\"steps\":[\"userId\"],\"pointer\":\"/userId\"}]}]},{\"name\":\"error\",\"events\":[\"error.occurred\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Error\",\"description\":\"Something that the user asked for has failed.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"error\"},\"data\":{\"type\":\"object\",\"properties\":{\"code\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"},\"details\":{\"description\":\"Whatever helps to understand the error, of any type.\"}},\"required\":[\"code\",\"message\"],\"additionalProperties\":false},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"error\"}],[\"data\",{\"object\":[[\"code\",{\"place\":{\"path\":\"data.code\",\"root\":\"data\",\"steps\":[\"code\"],\"pointer\":\"/code\"}}],[\"message\",{\"place\":{\"path\":\"data.message\",\"root\":\"data\",\"steps\":[\"message\"],\"pointer\":\"/message\"}}],[\"details\",{\"place\":{\"path\":\"data.details\",\"root\":\"data\",\"steps\":[\"details\"],\"pointer\":\"/details\",\"optional\":true}}]]}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"user\",\"id\":[{\"path\":\"data.userId\",\"root\":\"data\",\"steps\":[\"userId\"],\"pointer\":\"/userId\"}]}]}]}"
)


def upload_progressed(
    data: UploadProgressed,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `upload.progressed`."""
    return Event("upload.progressed", data, id=id, subject=subject, time=time)


def notification_created(
    data: NotificationCreated,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `notification.created`."""
    return Event("notification.created", data, id=id, subject=subject, time=time)


def error_occurred(
    data: ErrorOccurred,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `error.occurred`."""
    return Event("error.occurred", data, id=id, subject=subject, time=time)
