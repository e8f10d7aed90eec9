"""The events of tenant `shelter`, for producers; written by
`tidings types --tenant shelter --lang python`.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from tidings_producer import Catalog, Event

__all__ = ["CATALOG", "ShelterUpdated", "shelter_updated", "AlertCreated", "alert_created", "BroadcastCreated", "broadcast_created"]


class ShelterUpdatedRequired(TypedDict):
    shelterId: str
    status: Literal["open", "full", "closed"]
    # Places.
    capacity: int
    # People present; in an emergency this can exceed the capacity.
    occupancy: int


class ShelterUpdated(ShelterUpdatedRequired, total=False):
    """The data of `shelter.updated`.

    Shelter update

    Where a shelter stands, whole: it replaces what was known before.
    """

    name: str
    message: str


class AlertCreatedRequired(TypedDict):
    title: str
    message: str
    severity: Literal["low", "medium", "high", "critical"]


class AlertCreated(AlertCreatedRequired, total=False):
    """The data of `alert.created`.

    Alert

    Something that first responders and emergency coordinators must know, and those at a shelter if it names one.
    """

    shelterId: str


class BroadcastCreatedRequired(TypedDict):
    target: Literal["all", "role", "user", "shelter"]
    message: str


class BroadcastCreated(BroadcastCreatedRequired, total=False):
    """The data of `broadcast.created`.

    Broadcast

    A text for everybody, for all who have a role, for one user, or for a shelter. A user is not told their own id.
    """

    role: str
    shelterId: str
    title: str
    userId: str


#: What the catalog demands of events; the producer checks it before it sends them.
CATALOG = Catalog.parse(
    "{\"tenant\":\"shelter\",\"messages\":[{\"name\":\"shelter_update\",\"events\":[\"shelter.updated\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Shelter update\",\"description\":\"Where a shelter stands, whole: it replaces what was known before.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"shelter_update\"},\"data\":{\"type\":\"object\",\"properties\":{\"shelterId\":{\"type\":\"string\",\"minLength\":1},\"name\":{\"type\":\"string\"},\"status\":{\"enum\":[\"open\",\"full\",\"closed\"]},\"capacity\":{\"type\":\"integer\",\"minimum\":0,\"description\":\"Places.\"},\"occupancy\":{\"type\":\"integer\",\"minimum\":0,\"description\":\"People present; in an emergency this can exceed the capacity.\"},\"message\":{\"type\":\"string\"}},\"required\":[\"shelterId\",\"status\",\"capacity\",\"occupancy\"],\"additionalProperties\":false},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"shelter_update\"}],[\"data\",{\"object\":[[\"shelterId\",{\"place\":{\"path\":\"data.shelterId\",\"root\":\"data\",\"steps\":[\"shelterId\"],\"pointer\":\"/shelterId\"}}],[\"name\",{\"place\":{\"path\":\"data.name\",\"root\":\"data\",\"steps\":[\"name\"],\"pointer\":\"/name\",\"optional\":true}}],[\"status\",{\"place\":{\"path\":\"data.status\",\"root\":\"data\",\"steps\":[\"status\"],\"pointer\":\"/status\"}}],[\"capacity\",{\"place\":{\"path\":\"data.capacity\",\"root\":\"data\",\"steps\":[\"capacity\"],\"pointer\":\"/capacity\"}}],[\"occupancy\",{\"place\":{\"path\":\"data.occupancy\",\"root\":\"data\",\"steps\":[\"occupancy\"],\"pointer\":\"/occupancy\"}}],[\"message\",{\"place\":{\"path\":\"data.message\",\"root\":\"data\",\"steps\":[\"message\"],\"pointer\":\"/message\",\"optional\":true}}]]}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"role\",\"id\":[\"first_responder\"]},{\"kind\":\"role\",\"id\":[\"emergency_coordinator\"]},{\"kind\":\"shelter\",\"id\":[{\"path\":\"data.shelterId\",\"root\":\"data\",\"steps\":[\"shelterId\"],\"pointer\":\"/shelterId\"}]}],\"key\":[{\"path\":\"data.shelterId\",\"root\":\"data\",\"steps\":[\"shelterId\"],\"pointer\":\"/shelterId\"}]},{\"name\":\"alert\",\"events\":[\"alert.created\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Alert\",\"description\":\"Something that first responders and emergency coordinators must know, and those at a shelter if it names one.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"alert\"},\"data\":{\"type\":\"object\",\"properties\":{\"title\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"},\"severity\":{\"enum\":[\"low\",\"medium\",\"high\",\"critical\"]},\"shelterId\":{\"type\":\"string\",\"minLength\":1}},\"required\":[\"title\",\"message\",\"severity\"],\"additionalProperties\":false},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"alert\"}],[\"data\",{\"object\":[[\"title\",{\"place\":{\"path\":\"data.title\",\"root\":\"data\",\"steps\":[\"title\"],\"pointer\":\"/title\"}}],[\"message\",{\"place\":{\"path\":\"data.message\",\"root\":\"data\",\"steps\":[\"message\"],\"pointer\":\"/message\"}}],[\"severity\",{\"place\":{\"path\":\"data.severity\",\"root\":\"data\",\"steps\":[\"severity\"],\"pointer\":\"/severity\"}}],[\"shelterId\",{\"place\":{\"path\":\"data.shelterId\",\"root\":\"data\",\"steps\":[\"shelterId\"],\"pointer\":\"/shelterId\",\"optional\":true}}]]}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"role\",\"id\":[\"first_responder\"]},{\"kind\":\"role\",\"id\":[\"emergency_coordinator\"]},{\"kind\":\"shelter\",\"id\":[{\"path\":\"data.shelterId\",\"root\":\"data\",\"steps\":[\"shelterId\"],\"pointer\":\"/shelterId\",\"optional\":true}]}]},{\"name\":\"broadcast\",\"events\":[\"broadcast.created\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Broadcast\",\"description\":\"A text for everybody, for all who have a role, for one user, or for a shelter. A user is not told their own id.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"broadcast\"},\"data\":{\"type\":\"object\",\"properties\":{\"target\":{\"enum\":[\"all\",\"role\",\"user\",\"shelter\"]},\"role\":{\"type\":\"string\",\"minLength\":1},\"shelterId\":{\"type\":\"string\",\"minLength\":1},\"title\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"}},\"required\":[\"target\",\"message\"],\"allOf\":[{\"if\":{\"properties\":{\"target\":{\"const\":\"role\"}}},\"then\":{\"required\":[\"role\"]}},{\"if\":{\"properties\":{\"target\":{\"const\":\"shelter\"}}},\"then\":{\"required\":[\"shelterId\"]}}],\"additionalProperties\":false},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"broadcast\"}],[\"data\",{\"object\":[[\"target\",{\"place\":{\"path\":\"data.target\",\"root\":\"data\",\"steps\":[\"target\"],\"pointer\":\"/target\"}}],[\"role\",{\"place\":{\"path\":\"data.role\",\"root\":\"data\",\"steps\":[\"role\"],\"pointer\":\"/role\",\"optional\":true}}],[\"shelterId\",{\"place\":{\"path\":\"data.shelterId\",\"root\":\"data\",\"steps\":[\"shelterId\"],\"pointer\":\"/shelterId\",\"optional\":true}}],[\"title\",{\"place\":{\"path\":\"data.title\",\"root\":\"data\",\"steps\":[\"title\"],\"pointer\":\"/title\",\"optional\":true}}],[\"message\",{\"place\":{\"path\":\"data.message\",\"root\":\"data\",\"steps\":[\"message\"],\"pointer\":\"/message\"}}]]}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"all\",\"when\":[[{\"path\":\"data.target\",\"root\":\"data\",\"steps\":[\"target\"],\"pointer\":\"/target\"},\"all\"]]},{\"kind\":\"role\",\"id\":[{\"path\":\"data.role\",\"root\":\"data\",\"steps\":[\"role\"],\"pointer\":\"/role\"}],\"when\":[[{\"path\":\"data.target\",\"root\":\"data\",\"steps\":[\"target\"],\"pointer\":\"/target\"},\"role\"]]},{\"kind\":\"user\",\"id\":[{\"path\":\"data.userId\",\"root\":\"data\",\"steps\":[\"userId\"],\"pointer\":\"/userId\"}],\"when\":[[{\"path\":\"data.target\",\"root\":\"data\",\"steps\":[\"target\"],\"pointer\":\"/target\"},\"user\"]]},{\"kind\":\"shelter\",\"id\":[{\"path\":\"data.shelterId\",\"root\":\"data\",\"steps\":[\"shelterId\"],\"pointer\":\"/shelterId\"}],\"when\":[[{\"path\":\"data.target\",\"root\":\"data\",\"steps\":[\"target\"],\"pointer\":\"/target\"},\"shelter\"]]}]}]}"
)


def shelter_updated(
    data: ShelterUpdated,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `shelter.updated`."""
    return Event("shelter.updated", data, id=id, subject=subject, time=time)


def alert_created(
    data: AlertCreated,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `alert.created`."""
    return Event("alert.created", data, id=id, subject=subject, time=time)


def broadcast_created(
    data: BroadcastCreated,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `broadcast.created`."""
    return Event("broadcast.created", data, id=id, subject=subject, time=time)
