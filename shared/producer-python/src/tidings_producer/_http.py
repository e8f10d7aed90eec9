"""Over HTTP: ``POST /api/v1/events`` at a gateway, with the standard library."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Optional, Union
from urllib.parse import urlsplit

from ._event import OutgoingEvent
from ._transport import Outcome, Refusal, Stored, Unavailable

#: An API key or a token: as text, or asked for before each request. A refused token is asked for once more.
Key = Union[str, Callable[[Optional[str]], str]]

_PATH = "/api/v1/events"
#: The longest that an answer makes a producer wait, in seconds.
_LONGEST = 300.0
_REJECTED = ("EVENT_REJECTED", "EVENT_TOO_LARGE")


@dataclass(frozen=True)
class _Answer:
    status: int
    retry_after: float
    body: dict[str, Any]


class HttpTransport:
    """Sends events to a gateway, such as ``https://tidings.example``, over one connection."""

    def __init__(self, url: str, key: Key, *, timeout: float = 10.0, context: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not the address of a gateway, such as https://tidings.example")
        self._url = url
        self._path = parts.path.rstrip("/") + _PATH
        self._key = key
        self._is_used = False
        self._is_stopped = False
        if parts.scheme == "https":
            tls = ssl.create_default_context() if context is None else context
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=timeout, context=tls
            )
        else:
            self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)

    def send(self, events: Sequence[OutgoingEvent]) -> Sequence[Outcome]:
        answer = self._post(events)
        status, error = answer.status, answer.body
        if status in (408, 429) or status >= 500:
            said = _text(error.get("detail")) or "nothing more"
            raise Unavailable(f"the gateway answers {status}: {said}", answer.retry_after)
        if status == 200:
            entries = [answer.body] if len(events) == 1 else _list(answer.body.get("events"))
            if len(entries) != len(events):
                raise Unavailable("the answer is not that of a gateway; is the address right?")
            return [_stored(event, _object(entry)) for event, entry in zip(events, entries)]
        named = {entry.get("index"): entry for entry in map(_object, _list(error.get("events")))}
        outcomes: list[Outcome] = [
            _refusal(status, named[index]) if index in named else None for index in range(len(events))
        ]
        if len(events) > 1 and any(outcomes):
            return outcomes
        if len(events) > 1:
            # What is too much together may be taken one by one; and what is wrong with one is no fault of the others.
            return [*self.send(events[:1]), *(None for _ in events[1:])]
        return [_refusal(status, error)]

    def stop(self) -> None:
        self._is_stopped = True
        # Closing alone does not wake a thread that waits for an answer.
        sock = self._connection.sock
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._connection.close()

    def _post(self, events: Sequence[OutgoingEvent]) -> _Answer:
        token = self._token(None)
        answer = self._request(token, events)
        if answer.status != 401 or isinstance(self._key, str):
            return answer
        fresh = self._token(token)
        return answer if fresh == token else self._request(fresh, events)

    def _token(self, refused: str | None) -> str:
        if isinstance(self._key, str):
            return self._key
        try:
            return self._key(refused)
        except Exception as error:
            raise Unavailable("there is no token now") from error

    def _request(self, token: str, events: Sequence[OutgoingEvent]) -> _Answer:
        is_batch = len(events) > 1
        body = b"[" + b",".join(event.body for event in events) + b"]" if is_batch else events[0].body
        kind = "application/cloudevents-batch+json" if is_batch else "application/cloudevents+json"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
        try:
            response = self._exchange(body, headers)
            read = _parse(response.read())
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Unavailable(f"there is no answer from {self._url}") from error
        return _Answer(response.status, _retry_after(response.getheader("Retry-After")), read)

    def _exchange(self, body: bytes, headers: dict[str, str]) -> http.client.HTTPResponse:
        was_used, self._is_used = self._is_used, True
        try:
            self._connection.request("POST", self._path, body, headers)
            return self._connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self._connection.close()
            if not was_used or self._is_stopped:
                raise
        # A gateway closes connections that were idle for long. What it may have taken counts once by its id.
        self._connection.request("POST", self._path, body, headers)
        return self._connection.getresponse()


def _refusal(status: int, error: dict[str, Any]) -> Refusal:
    is_redirect = 300 <= status < 400
    otherwise = "the address redirects; give the one of the gateway itself" if is_redirect else f"the answer is {status}"
    code = _text(error.get("code"))
    return Refusal(
        kind="rejected" if code in _REJECTED else "refused",
        message=_text(error.get("detail")) or otherwise,
        status=status,
        code=code,
        reason=_text(error.get("reason")),
        pointer=_text(error.get("pointer")),
    )


def _stored(event: OutgoingEvent, said: dict[str, Any]) -> Stored:
    """Returns what a gateway says. Others than gateways, such as the page of a proxy, do not say it."""
    sequence = said.get("sequence")
    if said.get("id") != event.event.id or not isinstance(sequence, int):
        raise Unavailable("the answer is not that of a gateway; is the address right?")
    return Stored(event.event.id, sequence, said.get("duplicate") is True)


def _retry_after(value: str | None) -> float:
    """Reads seconds or a date."""
    if value is None:
        return 0.0
    try:
        wait = float(value) if value.strip().isdigit() else parsedate_to_datetime(value).timestamp() - time.time()
    except (TypeError, ValueError):
        return 0.0
    return min(_LONGEST, max(0.0, wait))


def _parse(body: bytes) -> dict[str, Any]:
    """What is no JSON says nothing."""
    try:
        return _object(json.loads(body))
    except (ValueError, RecursionError):
        return {}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
