"""What the types of a generated module permit, and what they refuse: this file is checked, not run."""

from __future__ import annotations

from shelter import shelter_updated
from uploads import CATALOG, notification_created, upload_progressed

from tidings_producer import AsyncProducer, Producer


async def permitted(producer: AsyncProducer) -> int:
    update = shelter_updated({"shelterId": "s", "status": "open", "capacity": 2, "occupancy": 1}, id="own")
    stored = await producer.publish(update)
    return stored.sequence


def refused(producer: Producer) -> None:
    # A member is missing.
    shelter_updated({"shelterId": "s", "status": "open", "capacity": 2})  # type: ignore[typeddict-item]
    # There is no such value.
    shelter_updated({"shelterId": "s", "status": "ajar", "capacity": 2, "occupancy": 1})  # type: ignore[typeddict-item]
    # There is no such member.
    upload_progressed({"progres": 1})  # type: ignore[typeddict-item]
    # It is no event.
    producer.publish({"userId": "ada"})  # type: ignore[arg-type]
    producer.enqueue(notification_created)  # type: ignore[arg-type]
    Producer("uploads", source="/s")  # type: ignore[arg-type]
    Producer(CATALOG, source=7)  # type: ignore[arg-type]
