"""What carries events to Tidings. A transport sends; the producer keeps, orders and repeats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Union

from ._event import OutgoingEvent


@dataclass(frozen=True)
class Stored:
    """A stored event."""

    id: str
    #: Its sequence in the stream ``EVENTS``.
    sequence: int
    #: Whether it was stored before.
    duplicate: bool


@dataclass(frozen=True)
class Refusal:
    """An event that is not taken, however often it is sent."""

    kind: Literal["rejected", "refused"]
    message: str
    status: int | None = None
    code: str | None = None
    reason: str | None = None
    pointer: str | None = None


#: What has become of an event; ``None`` where it is to be sent again.
Outcome = Union[Stored, Refusal, None]


class Unavailable(Exception):
    """Nothing is known of what was sent; send it again, not before ``after`` seconds."""

    def __init__(self, message: str, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


class Transport(Protocol):
    """Sends for the producer's thread."""

    def send(self, events: Sequence[OutgoingEvent]) -> Sequence[Outcome]:
        """Sends events, in order: none is stored unless all before it are stored or refused.

        Returns an outcome for each, of which at least one is known. Raises ``Unavailable`` where nothing is known; then all
        are sent again.
        """

    def stop(self) -> None:
        """Ends what is being sent, which then fails. Another thread calls it."""

    def close(self) -> None:
        """Ends, after the last event was sent."""
