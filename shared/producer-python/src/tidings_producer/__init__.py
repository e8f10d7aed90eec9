"""Publishes events to Tidings: typed, checked before they are sent, kept while Tidings is away, and each stored once."""

from ._catalog import Catalog, Rejection
from ._errors import ErrorKind, PublishError
from ._event import Event, OutgoingEvent, PublishedEvent
from ._http import HttpTransport, Key
from ._producer import AsyncProducer, Producer
from ._transport import Outcome, Refusal, Stored, Transport, Unavailable

__all__ = [
    "AsyncProducer",
    "Catalog",
    "ErrorKind",
    "Event",
    "HttpTransport",
    "Key",
    "Outcome",
    "OutgoingEvent",
    "Producer",
    "PublishError",
    "PublishedEvent",
    "Refusal",
    "Rejection",
    "Stored",
    "Transport",
    "Unavailable",
]
