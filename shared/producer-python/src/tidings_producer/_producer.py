"""Producers: they check events and put them into the queue."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from types import TracebackType

from ._catalog import Catalog
from ._errors import PublishError
from ._event import Event, OutgoingEvent, PublishedEvent, outgoing
from ._http import HttpTransport, Key
from ._queue import Entry, Queue, log, quietly
from ._transport import Stored, Transport, Unavailable

#: The longest id and source, in bytes.
_MAX_ID = 256


def _required(value: str | None, argument: str, variable: str) -> str:
    found = value or os.environ.get(variable)
    if not found:
        raise ValueError(f"a producer needs the argument `{argument}` or the environment's {variable}")
    return found


def _is_id(text: str) -> bool:
    is_control = any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in text)
    return 0 < len(text.encode(errors="surrogatepass")) <= _MAX_ID and not is_control


class _Base:
    """What both producers share.

    ``url``, ``key`` and ``source`` stand in the environment as ``TIDINGS_URL``, ``TIDINGS_KEY`` and ``TIDINGS_SOURCE`` where
    they are not given. ``source`` is the CloudEvents source of all events. ``transport`` takes the place of HTTP.
    ``max_events`` and ``max_bytes`` bound the events that wait or are under way; ``max_event_bytes`` is
    ``projector.max_event_bytes``. ``on_refused`` takes what is refused for good of the events that ``enqueue`` took; without
    it, the log does. ``on_retry`` learns that sending has failed and is tried again after so many seconds.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        url: str | None = None,
        key: Key | None = None,
        source: str | None = None,
        transport: Transport | None = None,
        max_events: int = 10_000,
        max_bytes: int = 16 * 1024 * 1024,
        max_event_bytes: int = 1024 * 1024,
        on_refused: Callable[[PublishError], None] | None = None,
        on_retry: Callable[[Unavailable, float], None] | None = None,
    ) -> None:
        self._catalog = catalog
        self._source = _required(source, "source", "TIDINGS_SOURCE")
        if not _is_id(self._source):
            raise ValueError(f"source {self._source!r} is not 1 to {_MAX_ID} bytes of text")
        if transport is None:
            address = _required(url, "url", "TIDINGS_URL")
            transport = HttpTransport(address, key or _required(None, "key", "TIDINGS_KEY"))
        self._max_event_bytes = max_event_bytes
        self._on_refused = on_refused or _logged
        self._queue = Queue(transport, max_events, max_bytes, on_retry)

    @property
    def pending(self) -> int:
        """How many events wait or are under way."""
        return len(self._queue)

    def _accepted(self, event: Event) -> OutgoingEvent:
        """Returns the event as it is sent, if it may be."""
        try:
            made = outgoing(self._source, event)
        except (TypeError, ValueError, RecursionError) as error:
            unsent = PublishedEvent(event.id or "", self._source, event.name, event.time or "", event.subject, None)
            raise PublishError("rejected", unsent, f"it is no JSON: {error}", reason="malformed-event") from error
        if not _is_id(made.event.id):
            text = f"its id is not 1 to {_MAX_ID} bytes of text"
            raise PublishError("rejected", made.event, text, reason="malformed-event")
        if len(made.body) > self._max_event_bytes:
            text = f"it has {len(made.body)} bytes, more than {self._max_event_bytes}"
            raise PublishError("rejected", made.event, text, reason="too-large")
        rejection = self._catalog.check(made.event)
        if rejection is not None:
            reason, pointer = rejection.reason, rejection.pointer
            raise PublishError("rejected", made.event, rejection.text, reason=reason, pointer=pointer)
        return made


class Producer(_Base):
    """Publishes a tenant's events. One for a process is enough; any thread may use it."""

    def publish(self, event: Event, timeout: float | None = None) -> Stored:
        """Publishes an event, after all earlier ones, and returns when it is stored, however long Tidings is away.

        Raises ``PublishError`` if it is refused, or if the buffer is full; ``TimeoutError`` after so many seconds, and then
        the event stays in the buffer: it is still stored if it can be.
        """
        entry = Entry(self._accepted(event), None)
        self._queue.push(entry, 0.0)
        try:
            return entry.result.result(timeout)
        except TimeoutError:
            raise
        except Exception as error:
            # On Python 3.10, the time-out of a future is another class.
            if not entry.result.done():
                raise TimeoutError(f"there is no answer after {timeout} seconds") from error
            raise

    def enqueue(self, event: Event, timeout: float = 0.0) -> str:
        """Puts an event into the buffer and returns its id, waiting so many seconds for room.

        Raises ``PublishError`` if it is refused here, or if the buffer is full. What is refused later goes to
        ``on_refused``, in the producer's thread.
        """
        entry = Entry(self._accepted(event), self._on_refused)
        self._queue.push(entry, timeout)
        return entry.outgoing.event.id

    def flush(self, timeout: float | None = None) -> bool:
        """Returns when all events that were taken before are stored or refused; false if the time is over before."""
        return self._queue.flush(timeout)

    def close(self, within: float = 10.0) -> list[PublishedEvent]:
        """Takes no more events, waits for the others, and returns those of which it is not known whether they are stored."""
        return self._queue.close(within)

    def __enter__(self) -> Producer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _say_left(self.close())


class AsyncProducer(_Base):
    """Publishes a tenant's events from asyncio. One for a process is enough."""

    async def publish(self, event: Event) -> Stored:
        """Publishes an event, after all earlier ones, and returns when it is stored, however long Tidings is away.

        Raises ``PublishError`` if it is refused, or if the buffer is full. An event whose task is cancelled stays in the
        buffer: it is still stored if it can be.
        """
        entry = Entry(self._accepted(event), None)
        self._queue.push(entry, 0.0)
        return await asyncio.shield(asyncio.wrap_future(entry.result))

    def enqueue(self, event: Event) -> str:
        """Puts an event into the buffer and returns its id.

        Raises ``PublishError`` if it is refused here, or if the buffer is full. What is refused later goes to
        ``on_refused``, in the event loop.
        """
        loop = asyncio.get_running_loop()
        entry = Entry(self._accepted(event), lambda error: self._refused(loop, error))
        self._queue.push(entry, 0.0)
        return entry.outgoing.event.id

    async def flush(self) -> None:
        """Returns when all events that were taken before are stored or refused."""
        await asyncio.to_thread(self._queue.flush, None)

    async def close(self, within: float = 10.0) -> list[PublishedEvent]:
        """Takes no more events, waits for the others, and returns those of which it is not known whether they are stored."""
        return await asyncio.to_thread(self._queue.close, within)

    async def __aenter__(self) -> AsyncProducer:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _say_left(await self.close())

    def _refused(self, loop: asyncio.AbstractEventLoop, error: PublishError) -> None:
        if loop.is_closed():
            quietly(self._on_refused, error)
        else:
            loop.call_soon_threadsafe(quietly, self._on_refused, error)


def _logged(error: PublishError) -> None:
    log.error("%s", error)


def _say_left(left: list[PublishedEvent]) -> None:
    if left:
        log.error("%d events are not known to be stored: %s", len(left), ", ".join(event.id for event in left))
