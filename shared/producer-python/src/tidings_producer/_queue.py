"""The queue of events: bounded, ordered and lossless; a thread of its own sends them.

An event is in the queue from its acceptance until it is stored or refused for good; nothing leaves it otherwise but by
``close``, which says what it was. One batch is under way at a time, so what comes later is never stored before.
"""

from __future__ import annotations

import atexit
import logging
import random
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from ._errors import ErrorKind, PublishError
from ._event import OutgoingEvent, PublishedEvent
from ._transport import Outcome, Refusal, Stored, Transport, Unavailable

log = logging.getLogger("tidings_producer")

#: The most events of a batch, and their bytes.
_BATCH, _BATCH_BYTES = 64, 256 * 1024
#: Waiting after failures, in seconds.
_FIRST_DELAY, _LONGEST_DELAY = 0.2, 30.0


@dataclass(eq=False)
class Entry:
    """An event in the queue."""

    outgoing: OutgoingEvent
    #: Takes the refusal of an event for whose result nobody waits.
    refused: Callable[[PublishError], None] | None
    result: Future[Stored] = field(default_factory=Future)

    def __post_init__(self) -> None:
        # From now on nobody can cancel it: whether it is stored is not for those to say who wait.
        self.result.set_running_or_notify_cancel()

    def failed(self, kind: ErrorKind, message: str, refusal: Refusal | None = None) -> None:
        details = {} if refusal is None else {"reason": refusal.reason, "pointer": refusal.pointer, "code": refusal.code}
        status = None if refusal is None else refusal.status
        error = PublishError(kind, self.outgoing.event, message, status=status, **details)
        if self.refused is not None and kind != "unknown":
            quietly(self.refused, error)
        self.result.set_exception(error)


class Queue:
    """Takes events from any thread."""

    def __init__(
        self,
        transport: Transport,
        max_events: int,
        max_bytes: int,
        on_retry: Callable[[Unavailable, float], None] | None,
    ) -> None:
        self._transport = transport
        self._max_events, self._max_bytes = max_events, max_bytes
        self._on_retry = on_retry
        self._changed = threading.Condition()
        self._waiting: deque[Entry] = deque()
        self._bytes = 0
        self._is_closed = False
        self._is_over = False
        self._thread: threading.Thread | None = None
        self._batch = _BATCH
        self._failures = 0
        _open.add(self)

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, entry: Entry, wait: float) -> None:
        """Puts an event behind all others. Waits so many seconds for room."""
        size = len(entry.outgoing.body)
        with self._changed:
            has_room = self._changed.wait_for(lambda: self._is_closed or self._has_room(size), wait)
            if self._is_closed:
                raise PublishError("closed", entry.outgoing.event, "the producer is closed")
            if not has_room:
                text = f"{len(self._waiting)} events of {self._bytes} bytes wait, and there is no room for more"
                raise PublishError("full", entry.outgoing.event, text)
            self._waiting.append(entry)
            self._bytes += size
            if self._thread is None:
                # A daemon: an application that ends without `close` ends, and the log says what is left.
                self._thread = threading.Thread(target=self._run, name="tidings-producer", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, timeout: float | None) -> bool:
        """Waits until all events that were taken before are stored or refused; returns whether they are."""
        with self._changed:
            before = deque(self._waiting)

            def are_known() -> bool:
                while before and before[0].result.done():
                    before.popleft()
                return not before

            self._changed.wait_for(lambda: self._is_over or are_known(), timeout)
            return are_known()

    def close(self, within: float) -> list[PublishedEvent]:
        """Takes no more events, waits for the others, and returns those without a known result."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self.flush(within)
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        _open.discard(self)
        self._transport.stop()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._transport.close()
        left = list(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        for entry in left:
            entry.failed("unknown", "the producer was closed before an answer came")
        return [entry.outgoing.event for entry in left]

    def _has_room(self, size: int) -> bool:
        return len(self._waiting) < self._max_events and self._bytes + size <= self._max_bytes

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_over or self._waiting)
                if self._is_over:
                    return
                batch = self._next()
            try:
                self._settle(batch, self._transport.send([entry.outgoing for entry in batch]))
                self._failures = 0
                self._batch = min(_BATCH, self._batch * 2)
            except Unavailable as error:
                self._wait(error)
            except Exception as error:
                log.exception("sending has failed; it is tried again")
                self._wait(Unavailable(f"sending has failed: {error}"))

    def _next(self) -> list[Entry]:
        """Returns the oldest events, as many as go together; at least one."""
        batch: list[Entry] = []
        size = 0
        for entry in self._waiting:
            size += len(entry.outgoing.body)
            if batch and (size > _BATCH_BYTES or len(batch) == self._batch):
                break
            batch.append(entry)
        return batch

    def _settle(self, batch: Sequence[Entry], outcomes: Sequence[Outcome]) -> None:
        known = [(entry, outcome) for entry, outcome in zip(batch, outcomes) if outcome is not None]
        if not known:
            raise Unavailable("the transport has said nothing of any event")
        for entry, outcome in known:
            if isinstance(outcome, Stored):
                entry.result.set_result(outcome)
            else:
                entry.failed(outcome.kind, outcome.message, outcome)
        left = [entry for entry in batch if not entry.result.done()]
        with self._changed:
            for _ in batch:
                self._waiting.popleft()
            self._waiting.extendleft(reversed(left))
            self._bytes -= sum(len(entry.outgoing.body) for entry, _ in known)
            self._changed.notify_all()

    def _wait(self, error: Unavailable) -> None:
        """Waits longer after each failure, and as long as was asked for; then goes on with one event."""
        longest = min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** min(self._failures, 10))
        after = max(error.after, longest * (0.5 + random.random() / 2))
        self._failures += 1
        self._batch = 1
        with self._changed:
            if self._is_over:
                return
        if self._on_retry is not None:
            quietly(self._on_retry, error, after)
        with self._changed:
            self._changed.wait_for(lambda: self._is_over, after)


def quietly(callback: Callable[..., None], *arguments: object) -> None:
    """Calls what belongs to the application, whose error is not the producer's."""
    try:
        callback(*arguments)
    except Exception:
        log.exception("a callback of the producer has failed")


_open: weakref.WeakSet[Queue] = weakref.WeakSet()


@atexit.register
def _say_what_is_left() -> None:
    for queue in list(_open):
        if len(queue) > 0:
            log.error("%d events are not known to be stored; close the producer before the program ends", len(queue))
