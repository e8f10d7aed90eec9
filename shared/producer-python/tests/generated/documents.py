"""The events of tenant `documents`, for producers; written by
`tidings types --tenant documents --lang python`.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from tidings_producer import Catalog, Event

__all__ = ["CATALOG", "ProcessingStarted", "processing_started", "ProcessingProgressed", "processing_progressed", "ProcessingCompleted", "processing_completed", "ProcessingFailed", "processing_failed"]


class ProcessingStarted(TypedDict):
    """The data of `processing.started`.

    Processing started

    The processing of a document has begun.
    """

    docId: str
    totalPages: int
    userId: str


class ProcessingProgressed(TypedDict):
    """The data of `processing.progressed`.

    Progress

    So many of a document's pages are processed.
    """

    docId: str
    pagesProcessed: int
    totalPages: int
    userId: str


class ProcessingCompleted(TypedDict):
    """The data of `processing.completed`.

    Processing complete

    A document is processed.
    """

    docId: str
    userId: str


class ProcessingFailed(TypedDict):
    """The data of `processing.failed`.

    Error

    The processing of a document has failed.
    """

    errorCode: str
    message: str
    docId: str
    # Whether trying again can succeed.
    recoverable: bool
    userId: str


#: What the catalog demands of events; the producer checks it before it sends them.
CATALOG = Catalog.parse(
    "{\"tenant\":\"documents\",\"messages\":[{\"name\":\"processing_started\",\"events\":[\"processing.started\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Processing started\",\"description\":\"The processing of a document has begun.\",\"type\":\"object\",\"properties\":{\"status\":{\"const\":\"processing_started\"},\"docId\":{\"type\":\"string\",\"minLength\":1},\"totalPages\":{\"type\":\"integer\",\"minimum\":0}},\"required\":[\"status\",\"docId\",\"totalPages\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"status\",{\"value\":\"processing_started\"}],[\"docId\",{\"place\":{\"path\":\"data.docId\",\"root\":\"data\",\"steps\":[\"docId\"],\"pointer\":\"/docId\"}}],[\"totalPages\",{\"place\":{\"path\":\"data.totalPages\",\"root\":\"data\",\"steps\":[\"totalPages\"],\"pointer\":\"/totalPages\"}}]]},\"to\":[{\"kind\":\"user\",\"id\":[{\"path\":\"data.userId\",\"root\":\"data\",\"steps\":[\"userId\"],\"pointer\":\"/userId\"}]}],\"key\":[{\"path\":\"data.docId\",\"root\":\"data\",\"steps\":[\"docId\"],\"pointer\":\"/docId\"}]},{\"name\":\"progress\",\"events\":[\"processing.progressed\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Progress\",\"description\":\"So many of a document's pages are processed.\",\"type\":\"object\",\"properties\":{\"status\":{\"const\":\"progress\"},\"docId\":{\"type\":\"string\",\"minLength\":1},\"pagesProcessed\":{\"type\":\"integer\",\"minimum\":0},\"totalPages\":{\"type\":\"integer\",\"minimum\":0}},\"required\":[\"status\",\"docId\",\"pagesProcessed\",\"totalPages\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"status\",{\"value\":\"progress\"}],[\"docId\",{\"place\":{\"path\":\"data.docId\",\"root\":\"data\",\"steps\":[\"docId\"],\"pointer\":\"/docId\"}}],[\"pagesProcessed\",{\"place\":{\"path\":\"data.pagesProcessed\",\"root\":\"data\",\"steps\":[\"pagesProcessed\"],\"pointer\":\"/pagesProcessed\"}}],[\"totalPages\",{\"place\":{\"path\":\"data.totalPages\",\"root\":\"data\",\"steps\":[\"totalPages\"],\"pointer\":\"/totalPages\"}}]]},\"to\":[{\"kind\":\"user\",\"id\":[{\"path\":\"data.userId\",\"root\":\"data\",\"steps\":[\"userId\"],\"pointer\":\"/userId\"}]}],\"key\":[{\"path\":\"data.docId\",\"root\":\"data\",\"steps\":[\"docId\"],\"pointer\":\"/docId\"}]},{\"name\":\"processing_complete\",\"events\":[\"processing.completed\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Processing complete\",\"description\":\"A document is processed.\",\"type\":\"object\",\"properties\":{\"status\":{\"const\":\"processing_complete\"},\"docId\":{\"type\":\"string\",\"minLength\":1}},\"required\":[\"status\",\"docId\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"status\",{\"value\":\"processing_complete\"}],[\"docId\",{\"place\":{\"path\":\"data.docId\",\"root\":\"data\",\"steps\":[\"docId\"],\"pointer\":\"/docId\"}}]]},\"to\":[{\"kind\":\"user\",\"id\":[{\"path\":\"data.userId\",\"root\":\"data\",\"steps\":[\"userId\"],\"pointer\":\"/userId\"}]}],\"key\":[{\"path\":\"data.docId\",\"root\":\"data\",\"steps\":[\"docId\"],\"pointer\":\"/docId\"}]},{\"name\":\"error\",\"events\":[\"processing.failed\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Error\",\"description\":\"The processing of a document has failed.\",\"type\":\"object\",\"properties\":{\"status\":{\"const\":\"error\"},\"errorCode\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"},\"docId\":{\"type\":\"string\",\"minLength\":1},\"recoverable\":{\"type\":\"boolean\",\"description\":\"Whether trying again can succeed.\"}},\"required\":[\"status\",\"errorCode\",\"message\",\"docId\",\"recoverable\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"status\",{\"value\":\"error\"}],[\"errorCode\",{\"place\":{\"path\":\"data.errorCode\",\"root\":\"data\",\"steps\":[\"errorCode\"],\"pointer\":\"/errorCode\"}}],[\"message\",{\"place\":{\"path\":\"data.message\",\"root\":\"data\",\"steps\":[\"message\"],\"pointer\":\"/message\"}}],[\"docId\",{\"place\":{\"path\":\"data.docId\",\"root\":\"data\",\"steps\":[\"docId\"],\"pointer\":\"/docId\"}}],[\"recoverable\",{\"place\":{\"path\":\"data.recoverable\",\"root\":\"data\",\"steps\":[\"recoverable\"],\"pointer\":\"/recoverable\"}}]]},\"to\":[{\"kind\":\"user\",\"id\":[{\"path\":\"data.userId\",\"root\":\"data\",\"steps\":[\"userId\"],\"pointer\":\"/userId\"}]}],\"key\":[{\"path\":\"data.docId\",\"root\":\"data\",\"steps\":[\"docId\"],\"pointer\":\"/docId\"}]}]}"
)


def processing_started(
    data: ProcessingStarted,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `processing.started`."""
    return Event("processing.started", data, id=id, subject=subject, time=time)


def processing_progressed(
    data: ProcessingProgressed,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `processing.progressed`."""
    return Event("processing.progressed", data, id=id, subject=subject, time=time)


def processing_completed(
    data: ProcessingCompleted,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `processing.completed`."""
    return Event("processing.completed", data, id=id, subject=subject, time=time)


def processing_failed(
    data: ProcessingFailed,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `processing.failed`."""
    return Event("processing.failed", data, id=id, subject=subject, time=time)
