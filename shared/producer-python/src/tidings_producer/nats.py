"""Over NATS: each event is published through JetStream, with ``nats-py``, which the extra ``nats`` installs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

import nats
import nats.errors
import nats.js.errors

from ._event import OutgoingEvent
from ._transport import Outcome, Refusal, Stored, Unavailable

#: JetStream's code for a message that is larger than the stream takes.
_TOO_LARGE = 10054
_T = TypeVar("_T")


class NatsTransport:
    """Sends events to JetStream, one after the other.

    It connects when the first is sent, and reconnects for as long as it takes; ``options`` are those of ``nats.connect``. The
    NATS user may publish to ``events.<tenant>.>`` and subscribe to ``_INBOX_<tenant>_producer.>``, unless ``inbox_prefix``
    says otherwise.
    """

    def __init__(self, servers: str | list[str], tenant: str, *, timeout: float = 5.0, **options: Any) -> None:
        self._tenant = tenant
        self._timeout = timeout
        defaults = {"max_reconnect_attempts": -1, "inbox_prefix": f"_INBOX_{tenant}_producer".encode()}
        self._options = {**defaults, **options, "servers": servers, "error_cb": self._note}
        self._connection: Any = None
        #: The last permission error of the server: a denied publication gets no answer.
        self._denied = ""
        self._loop = asyncio.new_event_loop()
        self._thread: threading.Thread | None = None
        self._sending: Future[Any] | None = None

    def send(self, events: Sequence[OutgoingEvent]) -> Sequence[Outcome]:
        return [self._call(self._publish(events[0])), *(None for _ in events[1:])]

    def stop(self) -> None:
        if self._sending is not None:
            self._sending.cancel()

    def close(self) -> None:
        if self._thread is None:
            self._loop.close()
            return
        try:
            self._call(self._disconnect())
        except Unavailable:
            pass
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Runs this in the transport's own loop, which also answers the server's pings."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop.run_forever, name="tidings-nats", daemon=True)
            self._thread.start()
        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, 4 * self._timeout), self._loop)
        self._sending = future
        try:
            return future.result()
        except (asyncio.TimeoutError, TimeoutError, CancelledError, OSError, nats.errors.Error) as error:
            raise Unavailable(f"NATS does not store events now: {error!r}") from error

    async def _publish(self, event: OutgoingEvent) -> Outcome:
        # One that has ended for good, such as after refused credentials, is made again: others may be there by then.
        if self._connection is None or self._connection.is_closed:
            self._connection = await nats.connect(**self._options)
        published = event.event
        subject = f"events.{self._tenant}.{published.name}"
        headers = {
            # CloudEvents with the same source and id are the same event.
            "Nats-Msg-Id": f"{self._tenant}/{published.source}/{published.id}",
            "Content-Type": "application/cloudevents+json",
        }
        stream = self._connection.jetstream()
        try:
            answer = await stream.publish(subject, event.body, timeout=self._timeout, headers=headers)
        except nats.errors.MaxPayloadError as error:
            return Refusal("refused", f"NATS does not take the event: {error}")
        except nats.js.errors.APIError as error:
            if error.err_code != _TOO_LARGE:
                raise
            return Refusal("refused", f"NATS does not take the event: {error}")
        except nats.errors.TimeoutError:
            if subject.lower() not in self._denied:
                raise
            return Refusal("refused", f"NATS does not take the event: {self._denied}")
        return Stored(published.id, answer.seq, bool(answer.duplicate))

    async def _note(self, error: Exception) -> None:
        if "permissions violation" in str(error).lower():
            self._denied = str(error).lower()

    async def _disconnect(self) -> None:
        if self._connection is not None:
            await self._connection.close()
