"""The package as programs use it: so many notifications for Ada, over HTTP or NATS, with threads or asyncio."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque

from uploads import CATALOG, NotificationCreated, notification_created

from tidings_producer import AsyncProducer, Event, Producer, Stored, Transport


def notification(mode: str, number: int) -> Event:
    data: NotificationCreated = {"userId": "ada", "title": str(number), "message": "m", "severity": "info"}
    return notification_created(data, id=f"{mode}-{number}")


def report(number: int, stored: Stored) -> None:
    print(f"stored {number}", flush=True)


async def many_async(mode: str, count: int, transport: Transport | None = None) -> None:
    async with AsyncProducer(CATALOG, transport=transport) as producer:
        async def publish(number: int) -> None:
            report(number, await producer.publish(notification(mode, number)))

        await asyncio.gather(*(publish(number) for number in range(count)))
        again = await producer.publish(notification(mode, 0))
        print(f"again {str(again.duplicate).lower()}")


def many(mode: str, count: int, producer: Producer) -> None:
    with producer:
        given = deque(producer.enqueue(notification(mode, number)) for number in range(count - 1))
        report(count - 1, producer.publish(notification(mode, count - 1)))
        assert producer.flush() and len(given) == count - 1
        again = producer.publish(notification(mode, 0))
        print(f"again {str(again.duplicate).lower()}")


def main() -> None:
    mode, count = sys.argv[1], int(sys.argv[2])
    if mode == "asyncio":
        asyncio.run(many_async(mode, count))
    elif mode == "nats":
        from tidings_producer.nats import NatsTransport

        asyncio.run(many_async(mode, count, NatsTransport(os.environ["TIDINGS_NATS"], "uploads")))
    else:
        many(mode, count, Producer(CATALOG))
    print("publish: done")


main()
