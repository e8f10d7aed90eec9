"""Events as they are sent. The text of an event is made once, so that each repetition says the same, under the same id."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any


@dataclass(frozen=True)
class Event:
    """Something that happened: its name, ``<entity>.<action>``, and its data."""

    name: str
    data: Mapping[str, Any] | Any
    #: By which it counts once within its source. Without one, a new one is made.
    id: str | None = None
    #: The CloudEvents subject: what within the source it is about.
    subject: str | None = None
    #: When it happened, as RFC 3339; without it, now.
    time: str | None = None
    #: The trace that it belongs to, as W3C ``traceparent``; without it, that of OpenTelemetry's current span.
    traceparent: str | None = None


@dataclass(frozen=True)
class PublishedEvent:
    """An event that was given to a producer."""

    id: str
    source: str
    name: str
    time: str
    subject: str | None
    #: The data as JSON has it.
    data: Any


@dataclass(frozen=True)
class OutgoingEvent:
    """An event as a structured CloudEvent 1.0."""

    event: PublishedEvent
    body: bytes


def outgoing(source: str, event: Event) -> OutgoingEvent:
    """Makes the event as it is sent. Raises what ``json`` raises of its data."""
    # Tuples become lists, and the keys of objects text: what is checked is what is sent.
    data = json.loads(json.dumps(event.data, allow_nan=False))
    published = PublishedEvent(
        id=str(uuid.uuid4()) if event.id is None else event.id,
        source=source,
        name=event.name,
        time=_now() if event.time is None else event.time,
        subject=event.subject,
        data=data,
    )
    traceparent = _current_traceparent() if event.traceparent is None else event.traceparent
    attributes = {
        "specversion": "1.0",
        "id": published.id,
        "source": source,
        "type": published.name,
        "time": published.time,
        **({} if published.subject is None else {"subject": published.subject}),
        **({} if traceparent is None else {"traceparent": traceparent}),
        "datacontenttype": "application/json",
        "data": data,
    }
    text = json.dumps(attributes, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return OutgoingEvent(published, text.encode())


def _current_traceparent() -> str | None:
    """The trace of OpenTelemetry's current span, where the application uses OpenTelemetry."""
    if "opentelemetry" not in sys.modules:
        return None
    carrier: dict[str, str] = {}
    try:
        from opentelemetry import propagate

        propagate.inject(carrier)
    except Exception:
        # What is wrong with a trace is no reason to lose an event.
        return None
    return carrier.get("traceparent")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
