// The events of tenant `cnc`, for producers; written by
// `tidings types --tenant cnc --lang ts --for producer`.

import { type Stored, parseCatalog, sharedProducer } from "tidings-producer";

/**
 * The data of `volunteers.updated`.
 *
 * Volunteers updated
 *
 * The volunteers of an organization's operational period have changed; fetch them again.
 */
export interface VolunteersUpdated {
  readonly orgId: string;
  readonly periodId: string;
}

/**
 * The data of `assignments.updated`.
 *
 * Assignments updated
 *
 * The assignments of an organization's operational period have changed; fetch them again.
 */
export interface AssignmentsUpdated {
  readonly orgId: string;
  readonly periodId: string;
}

/**
 * The data of `periods.updated`.
 *
 * Periods updated
 *
 * The periods of an organization have changed; fetch them again.
 */
export interface PeriodsUpdated {
  readonly orgId: string;
}

/**
 * The data of `units.updated`.
 *
 * Units updated
 *
 * The units of an organization have changed; fetch them again.
 */
export interface UnitsUpdated {
  readonly orgId: string;
}

/**
 * The data of `incidents.updated`.
 *
 * Incidents updated
 *
 * The incidents of an organization have changed; fetch them again.
 */
export interface IncidentsUpdated {
  readonly orgId: string;
}

/** The data of each event. */
export interface CncEvents {
  readonly "volunteers.updated": VolunteersUpdated;
  readonly "assignments.updated": AssignmentsUpdated;
  readonly "periods.updated": PeriodsUpdated;
  readonly "units.updated": UnitsUpdated;
  readonly "incidents.updated": IncidentsUpdated;
}

/** What the catalog demands of events; the producer checks it before it sends them. */
export const catalog = parseCatalog<CncEvents>(
  "{\"tenant\":\"cnc\",\"messages\":[{\"name\":\"volunteersUpdated\",\"events\":[\"volunteers.updated\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Volunteers updated\",\"description\":\"The volunteers of an organization's operational period have changed; fetch them again.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"volunteersUpdated\"},\"orgId\":{\"type\":\"string\",\"minLength\":1},\"periodId\":{\"type\":\"string\",\"minLength\":1}},\"required\":[\"type\",\"orgId\",\"periodId\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"volunteersUpdated\"}],[\"orgId\",{\"place\":{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}}],[\"periodId\",{\"place\":{\"path\":\"data.periodId\",\"root\":\"data\",\"steps\":[\"periodId\"],\"pointer\":\"/periodId\"}}]]},\"to\":[{\"kind\":\"org\",\"id\":[{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}]}],\"key\":[{\"path\":\"data.periodId\",\"root\":\"data\",\"steps\":[\"periodId\"],\"pointer\":\"/periodId\"}]},{\"name\":\"assignmentsUpdated\",\"events\":[\"assignments.updated\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Assignments updated\",\"description\":\"The assignments of an organization's operational period have changed; fetch them again.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"assignmentsUpdated\"},\"orgId\":{\"type\":\"string\",\"minLength\":1},\"periodId\":{\"type\":\"string\",\"minLength\":1}},\"required\":[\"type\",\"orgId\",\"periodId\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"assignmentsUpdated\"}],[\"orgId\",{\"place\":{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}}],[\"periodId\",{\"place\":{\"path\":\"data.periodId\",\"root\":\"data\",\"steps\":[\"periodId\"],\"pointer\":\"/periodId\"}}]]},\"to\":[{\"kind\":\"org\",\"id\":[{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}]}],\"key\":[{\"path\":\"data.periodId\",\"root\":\"data\",\"steps\":[\"periodId\"],\"pointer\":\"/periodId\"}]},{\"name\":\"periodsUpdated\",\"events\":[\"periods.updated\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Periods updated\",\"description\":\"The periods of an organization have changed; fetch them again.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"periodsUpdated\"},\"orgId\":{\"type\":\"string\",\"minLength\":1}},\"required\":[\"type\",\"orgId\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"periodsUpdated\"}],[\"orgId\",{\"place\":{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}}]]},\"to\":[{\"kind\":\"org\",\"id\":[{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}]}],\"key\":[{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}]},{\"name\":\"unitsUpdated\",\"events\":[\"units.updated\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Units updated\",\"description\":\"The units of an organization have changed; fetch them again.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"unitsUpdated\"},\"orgId\":{\"type\":\"string\",\"minLength\":1}},\"required\":[\"type\",\"orgId\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"unitsUpdated\"}],[\"orgId\",{\"place\":{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}}]]},\"to\":[{\"kind\":\"org\",\"id\":[{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}]}],\"key\":[{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}]},{\"name\":\"incidentsUpdated\",\"events\":[\"incidents.updated\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Incidents updated\",\"description\":\"The incidents of an organization have changed; fetch them again.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"incidentsUpdated\"},\"orgId\":{\"type\":\"string\",\"minLength\":1}},\"required\":[\"type\",\"orgId\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"incidentsUpdated\"}],[\"orgId\",{\"place\":{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}}]]},\"to\":[{\"kind\":\"org\",\"id\":[{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}]}],\"key\":[{\"path\":\"data.orgId\",\"root\":\"data\",\"steps\":[\"orgId\"],\"pointer\":\"/orgId\"}]}]}",
);

/** The producer of the functions below. Unless it is configured, the environment does it at the first event. */
export const producer = sharedProducer(catalog);

/** Publishes `volunteers.updated`, and resolves when it is stored. */
export function broadcastVolunteersUpdated(data: VolunteersUpdated): Promise<Stored> {
  return producer.publish("volunteers.updated", data);
}

/** Publishes `assignments.updated`, and resolves when it is stored. */
export function broadcastAssignmentsUpdated(data: AssignmentsUpdated): Promise<Stored> {
  return producer.publish("assignments.updated", data);
}

/** Publishes `periods.updated`, and resolves when it is stored. */
export function broadcastPeriodsUpdated(data: PeriodsUpdated): Promise<Stored> {
  return producer.publish("periods.updated", data);
}

/** Publishes `units.updated`, and resolves when it is stored. */
export function broadcastUnitsUpdated(data: UnitsUpdated): Promise<Stored> {
  return producer.publish("units.updated", data);
}

/** Publishes `incidents.updated`, and resolves when it is stored. */
export function broadcastIncidentsUpdated(data: IncidentsUpdated): Promise<Stored> {
  return producer.publish("incidents.updated", data);
}
