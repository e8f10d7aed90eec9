"""The producers against a gateway of the test's own, which answers as it is told."""

from __future__ import annotations

import asyncio
import json
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Optional

from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span
from uploads import CATALOG, UploadProgressed, upload_progressed

from tidings_producer import AsyncProducer, Event, Producer, PublishedEvent, PublishError, Unavailable

Reply = tuple[int, dict[str, Any], dict[str, str]]
NEVER = None
CUT: Reply = (0, {}, {})


def says(status: int, error: dict[str, Any], headers: Optional[dict[str, str]] = None) -> Reply:
    return status, {"status": status, **error}, headers or {}


def stored(events: list[dict[str, Any]]) -> Reply:
    entries = [{"id": event["id"], "sequence": index, "duplicate": False} for index, event in enumerate(events, 1)]
    return 200, entries[0] if len(entries) == 1 else {"events": entries}, {}


class Gateway:
    """Answers each request in turn with these, and then stores."""

    def __init__(self, *replies: Optional[Reply | Callable[[list[dict[str, Any]]], Reply]]) -> None:
        self.requests: list[list[dict[str, Any]]] = []
        self.tokens: list[str] = []
        left, gateway = list(replies), self
        self.ended = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                events = body if isinstance(body, list) else [body]
                gateway.requests.append(events)
                gateway.tokens.append(self.headers["Authorization"].removeprefix("Bearer "))
                reply = left.pop(0) if left else stored
                if reply is NEVER:
                    gateway.ended.wait(30)
                    reply = CUT
                status, answer, headers = reply(events) if callable(reply) else reply
                if status == 0:
                    self.close_connection = True
                    return
                text = json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(text))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def end(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()

    def messages(self) -> list[str]:
        return ["".join(event["data"]["message"] for event in events) for events in self.requests]


def progress(message: str) -> UploadProgressed:
    return {"userId": "ada", "uploadId": "u", "fileName": "f", "progress": 1, "message": message}


class Case(unittest.TestCase):
    def gateway(self, *replies: Any) -> Gateway:
        gateway = Gateway(*replies)
        self.addCleanup(gateway.end)
        return gateway

    def producer(self, gateway: Gateway, **options: Any) -> Producer:
        producer = Producer(CATALOG, **{"url": gateway.url, "key": "k", "source": "/test", **options})
        self.addCleanup(producer.close, 0)
        return producer

    def refused(self, kind: str, event: Event, producer: Producer) -> PublishError:
        with self.assertRaises(PublishError) as caught:
            producer.enqueue(event)
        self.assertEqual(caught.exception.kind, kind)
        return caught.exception


class Sync(Case):
    def test_each_is_stored_in_order_and_once(self) -> None:
        retries: list[str] = []
        page: Reply = (200, {"hello": 1}, {})
        gateway = self.gateway(CUT, says(503, {"code": "UNAVAILABLE"}), page)
        producer = self.producer(gateway, on_retry=lambda error, after: retries.append(str(error)))
        ids = [producer.enqueue(upload_progressed(progress(str(number)))) for number in range(4)]
        self.assertTrue(producer.flush(30))
        found = [event["id"] for events in gateway.requests for event in events]
        self.assertEqual(list(dict.fromkeys(found)), ids)
        # The last request has those that were not answered before, in order.
        answered = "".join(gateway.messages()[3:])
        self.assertEqual(answered, "0123")
        self.assertEqual(len(retries), 3)
        for said, expected in zip(retries, ["no answer", "503", "not that of a gateway"]):
            self.assertIn(expected, said)
        result = producer.publish(upload_progressed(progress("4"), id="own"), timeout=30)
        self.assertEqual((result.id, result.sequence, result.duplicate), ("own", 1, False))

    def test_it_comes_again_after_as_long_as_is_asked_for(self) -> None:
        waits: list[float] = []
        gateway = self.gateway(says(429, {"code": "TOO_MANY_EVENTS"}, {"Retry-After": "1"}))
        producer = self.producer(gateway, on_retry=lambda error, after: waits.append(after))
        producer.publish(upload_progressed(progress("1")), timeout=30)
        self.assertEqual(len(waits), 1)
        self.assertGreaterEqual(waits[0], 1.0)

    def test_what_is_refused_for_good_is_told_and_others_go_on(self) -> None:
        refused: list[PublishError] = []
        named = {"index": 1, "code": "EVENT_REJECTED", "reason": "id-reused", "detail": "used"}
        hold = threading.Event()

        def first(events: list[dict[str, Any]]) -> Reply:
            hold.wait(30)
            return stored(events)

        gateway = self.gateway(first, says(422, {"code": "EVENT_REJECTED", "events": [named]}))
        producer = self.producer(gateway, on_refused=refused.append)
        for message in ["0", "1", "2", "3"]:
            producer.enqueue(upload_progressed(progress(message), id=message))
            while not gateway.requests:
                pass
        hold.set()
        self.assertTrue(producer.flush(30))
        self.assertEqual(gateway.messages(), ["0", "123", "13"])
        self.assertEqual([(error.kind, error.reason, error.event.id) for error in refused], [("rejected", "id-reused", "2")])

    def test_flush_waits_for_all_that_came_before(self) -> None:
        hold = threading.Event()

        def first(events: list[dict[str, Any]]) -> Reply:
            hold.wait(30)
            return stored(events)

        named = {"index": 1, "code": "EVENT_REJECTED", "reason": "id-reused", "detail": "used"}
        gateway = self.gateway(first, says(422, {"code": "EVENT_REJECTED", "events": [named]}), NEVER)
        producer = self.producer(gateway, on_refused=lambda error: None)
        for message in ["0", "1", "2"]:
            producer.enqueue(upload_progressed(progress(message)))
            while not gateway.requests:
                pass
        hold.set()
        while len(gateway.requests) < 3:
            pass
        # The last is refused, and the one before is not known.
        self.assertFalse(producer.flush(0))
        self.assertEqual([event.data["message"] for event in producer.close(0)], ["1"])

    def test_a_refused_token_is_asked_for_once_more(self) -> None:
        denied = says(401, {"code": "TOKEN_EXPIRED"})
        gateway = self.gateway(denied, stored, denied, denied)
        tokens = ["old", "new"]
        producer = self.producer(gateway, key=lambda refused: tokens.pop(0) if tokens else "last")
        producer.publish(upload_progressed(progress("1")), timeout=30)
        self.assertEqual(gateway.tokens, ["old", "new"])
        with self.assertRaises(PublishError) as caught:
            producer.publish(upload_progressed(progress("2")), timeout=30)
        self.assertEqual((caught.exception.kind, caught.exception.status), ("refused", 401))

    def test_the_buffer_is_bounded(self) -> None:
        for bounds in [{"max_events": 2}, {"max_bytes": 700}]:
            gateway = self.gateway(NEVER)
            producer = self.producer(gateway, **bounds)
            for message in ["1", "2"]:
                producer.enqueue(upload_progressed(progress(message)))
            self.refused("full", upload_progressed(progress("3")), producer)
            self.assertEqual(producer.pending, 2)
            with self.assertRaises(TimeoutError):
                self.producer(self.gateway(NEVER)).publish(upload_progressed(progress("4")), timeout=0.01)
            left = producer.close(0)
            self.assertEqual([event.data["message"] for event in left], ["1", "2"])
            self.refused("closed", upload_progressed(progress("5")), producer)

    def test_what_the_catalog_refuses_is_not_sent(self) -> None:
        gateway = self.gateway()
        producer = self.producer(gateway)
        wrong = progress("1")
        wrong["progress"] = 101
        error = self.refused("rejected", upload_progressed(wrong), producer)
        self.assertEqual((error.reason, error.pointer), ("schema-violation", "/data/progress"))
        nobody = {name: value for name, value in progress("1").items() if name != "userId"}
        error = self.refused("rejected", Event("upload.progressed", nobody), producer)
        self.assertEqual((error.reason, error.pointer), ("missing-value", "/userId"))
        for event in [upload_progressed(progress("1"), id=""), Event("upload.progressed", {"x": float("nan")})]:
            self.assertEqual(self.refused("rejected", event, producer).reason, "malformed-event")
        small = self.producer(gateway, max_event_bytes=100)
        self.assertEqual(self.refused("rejected", upload_progressed(progress("1")), small).reason, "too-large")
        self.assertEqual(gateway.requests, [])

    def test_an_error_of_the_applications_own_does_not_end_the_producer(self) -> None:
        def fails(error: Unavailable, after: float) -> None:
            raise RuntimeError("the application's own")

        producer = self.producer(self.gateway(says(503, {})), on_retry=fails)
        with self.assertLogs("tidings_producer"):
            producer.publish(upload_progressed(progress("1")), timeout=30)


class Async(Case):
    def test_events_are_stored_refused_and_left(self) -> None:
        asyncio.run(self.run_all())

    async def run_all(self) -> None:
        refused: list[PublishError] = []
        gateway = self.gateway(says(503, {}), stored, says(403, {"code": "EVENT_FORBIDDEN"}), NEVER)
        producer = AsyncProducer(CATALOG, url=gateway.url, key="k", source="/test", on_refused=refused.append)
        result = await asyncio.wait_for(producer.publish(upload_progressed(progress("1"), id="one")), 30)
        self.assertEqual(result.id, "one")
        producer.enqueue(upload_progressed(progress("2"), id="two"))
        await asyncio.wait_for(producer.flush(), 30)
        # The callback runs in the loop.
        await asyncio.sleep(0)
        self.assertEqual([(error.kind, error.event.id) for error in refused], [("refused", "two")])
        waiting = asyncio.ensure_future(producer.publish(upload_progressed(progress("3"), id="three")))
        while len(gateway.requests) < 4:
            await asyncio.sleep(0)
        left: list[PublishedEvent] = await asyncio.wait_for(producer.close(0), 30)
        self.assertEqual([event.id for event in left], ["three"])
        with self.assertRaises(PublishError) as caught:
            await waiting
        self.assertEqual(caught.exception.kind, "unknown")



class Traces(unittest.TestCase):
    def test_an_event_belongs_to_the_trace_in_which_it_is_published(self) -> None:
        gateway = Gateway()
        self.addCleanup(gateway.end)
        given = "00-11111111111111111111111111111111-2222222222222222-01"
        with Producer(CATALOG, url=gateway.url, key="k", source="/test") as producer:
            producer.publish(upload_progressed(progress("1")))
            producer.publish(Event("upload.progressed", progress("2"), traceparent=given))
            span = NonRecordingSpan(SpanContext(0x33333333333333333333333333333333, 0x4444444444444444, False, TraceFlags(1)))
            with use_span(span):
                producer.publish(upload_progressed(progress("3")))
                producer.publish(Event("upload.progressed", progress("4"), traceparent=given))
            producer.publish(upload_progressed(progress("5")))
        traces = [event.get("traceparent") for events in gateway.requests for event in events]
        own = "00-33333333333333333333333333333333-4444444444444444-01"
        self.assertEqual(traces, [None, given, own, given, None])


if __name__ == "__main__":
    unittest.main()
