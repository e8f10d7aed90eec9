"""The events of tenant `cnc`, for producers; written by
`tidings types --tenant cnc --lang python`.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from tidings_producer import Catalog, Event

__all__ = ["CATALOG", "VolunteersUpdated", "volunteers_updated", "AssignmentsUpdated", "assignments_updated", "PeriodsUpdated", "periods_updated", "UnitsUpdated", "units_updated", "IncidentsUpdated", "incidents_updated"]


class VolunteersUpdated(TypedDict):
    """The data of `volunteers.updated`.

    Volunteers updated

    The volunteers of an organization's operational period have changed; fetch them again.
    """

    orgId: str
    periodId: str


class AssignmentsUpdated(TypedDict):
    """The data of `assignments.updated`.

    Assignments updated

    The assignments of an organization's operational period have changed; fetch them again.
    """

    orgId: str
    periodId: str


class PeriodsUpdated(TypedDict):
    """The data of `periods.updated`.

    Periods updated

    The periods of an organization have changed; fetch them again.
    """

    orgId: str


class UnitsUpdated(TypedDict):
    """The data of `units.updated`.

    Units updated

    The units of an organization have changed; fetch them again.
    """

    orgId: str


class IncidentsUpdated(TypedDict):
    """The data of `incidents.updated`.

    Incidents updated

    The incidents of an organization have changed; fetch them again.
    """

    orgId: str


#: What the catalog demands of events; the producer checks it before it sends them.
CATALOG = Catalog.parse(
    "{\"tenant\":\"cnc\",\"messages\":[{\"name\":\"volunteersUpdated\",\"events\":[\"volunteers.updated\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Volunteers updated\",\"description\":\"The volunteers of an organization's operational period have changed; fetch them again.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"volunteersUpdated\"},\"orgId\":{\"type\":\"string\",\"minLength\":1},\"periodId\":{\"type\":\"string\",\"minLength\":1}},\"required\":[\"type\",\"orgId\",\"periodId\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"volunteersUpdated\"}],[\"orgId\",{\"place\":{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}}],[\"periodId\",{\"place\":{\"path\":\"data.periodId\",\"root\":\"data\",\"steps\":[\"periodId\"],\"pointer\":\"/periodId\"}}]]},\"to\":[{\"kind\":\"org\",\"id\":[{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}]}],\"key\":[{\"path\":\"data.periodId\",\"root\":\"data\",\"steps\":[\"periodId\"],\"pointer\":\"/periodId\"}]},{\"name\":\"assignmentsUpdated\",\"events\":[\"assignments.updated\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Assignments updated\",\"description\":\"The assignments of an organization's operational period have changed; fetch them again.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"assignmentsUpdated\"},\"orgId\":{\"type\":\"string\",\"minLength\":1},\"periodId\":{\"type\":\"string\",\"minLength\":1}},\"required\":[\"type\",\"orgId\",\"periodId\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"assignmentsUpdated\"}],[\"orgId\",{\"place\":{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}}],[\"periodId\",{\"place\":{\"path\":\"data.periodId\",\"root\":\"data\",\"steps\":[\"periodId\"],\"pointer\":\"/periodId\"}}]]},\"to\":[{\"kind\":\"org\",\"id\":[{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}]}],\"key\":[{\"path\":\"data.periodId\",\"root\":\"data\",\"steps\":[\"periodId\"],\"pointer\":\"/periodId\"}]},{\"name\":\"periodsUpdated\",\"events\":[\"periods.updated\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Periods updated\",\"description\":\"The periods of an organization have changed; fetch them again.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"periodsUpdated\"},\"orgId\":{\"type\":\"string\",\"minLength\":1}},\"required\":[\"type\",\"orgId\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"periodsUpdated\"}],[\"orgId\",{\"place\":{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}}]]},\"to\":[{\"kind\":\"org\",\"id\":[{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}]}],\"key\":[{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}]},{\"name\":\"unitsUpdated\",\"events\":[\"units.updated\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Units updated\",\"description\":\"The units of an organization have changed; fetch them again.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"unitsUpdated\"},\"orgId\":{\"type\":\"string\",\"minLength\":1}},\"required\":[\"type\",\"orgId\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"unitsUpdated\"}],[\"orgId\",{\"place\":{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}}]]},\"to\":[{\"kind\":\"org\",\"id\":[{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}]}],\"key\":[{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}]},{\"name\":\"incidentsUpdated\",\"events\":[\"incidents.updated\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Incidents updated\",\"description\":\"The incidents of an organization have changed; fetch them again.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"incidentsUpdated\"},\"orgId\":{\"type\":\"string\",\"minLength\":1}},\"required\":[\"type\",\"orgId\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"incidentsUpdated\"}],[\"orgId\",{\"place\":{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}}]]},\"to\":[{\"kind\":\"org\",\"id\":[{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}]}],\"key\":[{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}]}]}"
)


def volunteers_updated(
    data: VolunteersUpdated,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `volunteers.updated`."""
    return Event("volunteers.updated", data, id=id, subject=subject, time=time)


def assignments_updated(
    data: AssignmentsUpdated,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `assignments.updated`."""
    return Event("assignments.updated", data, id=id, subject=subject, time=time)


def periods_updated(
    data: PeriodsUpdated,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `periods.updated`."""
    return Event("periods.updated", data, id=id, subject=subject, time=time)


def units_updated(
    data: UnitsUpdated,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `units.updated`."""
    return Event("units.updated", data, id=id, subject=subject, time=time)


def incidents_updated(
    data: IncidentsUpdated,
    *,
    id: str | None = None,
    subject: str | None = None,
    time: str | None = None,
) -> Event:
    """Makes `incidents.updated`."""
    return Event("incidents.updated", data, id=id, subject=subject, time=time)
