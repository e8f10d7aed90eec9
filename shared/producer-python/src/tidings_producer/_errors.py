"""Why an event is not stored."""

from __future__ import annotations

from typing import Literal

from ._event import PublishedEvent

#: ``rejected``: the catalog refuses it, here or at the gateway; ``reason`` and ``pointer`` say why and where.
#: ``refused``: the gateway or NATS does not take it, however often it is sent.
#: ``full``: the buffer has no room for it, now.
#: ``closed``: the producer was closed before.
#: ``unknown``: the producer was closed before an answer came, so it may or may not be stored.
ErrorKind = Literal["rejected", "refused", "full", "closed", "unknown"]


class PublishError(Exception):
    """An event that is not stored, and why. Save ``event`` to publish it later: its id makes it count once."""

    def __init__(
        self,
        kind: ErrorKind,
        event: PublishedEvent,
        message: str,
        *,
        reason: str | None = None,
        pointer: str | None = None,
        status: int | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(f"event {event.name} {event.id!r} is not stored: {message}")
        self.kind = kind
        self.event = event
        #: The reason, as in ``REJECTED``, such as ``schema-violation``.
        self.reason = reason
        #: JSON pointer to the place: in the message for a schema violation, in the data for a missing value.
        self.pointer = pointer
        #: The HTTP status, and the code in the answer.
        self.status = status
        self.code = code
