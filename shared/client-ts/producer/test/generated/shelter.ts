// The events of tenant `shelter`, for producers; written by
// `tidings types --tenant shelter --lang ts --for producer`.

import { type Stored, parseCatalog, sharedProducer } from "tidings-producer";

/**
 * The data of `shelter.updated`.
 *
 * Shelter update
 *
 * Where a shelter stands, whole: it replaces what was known before.
 */
export interface ShelterUpdated {
  readonly shelterId: string;
  readonly name?: string;
  readonly status: "open" | "full" | "closed";
  /** Places. */
  readonly capacity: number;
  /** People present; in an emergency this can exceed the capacity. */
  readonly occupancy: number;
  readonly message?: string;
}

/**
 * The data of `alert.created`.
 *
 * Alert
 *
 * Something that first responders and emergency coordinators must know, and those at a shelter if it names one.
 */
export interface AlertCreated {
  readonly title: string;
  readonly message: string;
  readonly severity: "low" | "medium" | "high" | "critical";
  readonly shelterId?: string;
}

/**
 * The data of `broadcast.created`.
 *
 * Broadcast
 *
 * A text for everybody, for all who have a role, for one user, or for a shelter. A user is not told their own id.
 */
export interface BroadcastCreated {
  readonly target: "all" | "role" | "user" | "shelter";
  readonly role?: string;
  readonly shelterId?: string;
  readonly title?: string;
  readonly message: string;
  readonly userId?: string;
}

/** The data of each event. */
export interface ShelterEvents {
  readonly "shelter.updated": ShelterUpdated;
  readonly "alert.created": AlertCreated;
  readonly "broadcast.created": BroadcastCreated;
}

/** What the catalog demands of events; the producer checks it before it sends them. */
export const catalog = parseCatalog<ShelterEvents>(
  "{\"tenant\":\"shelter\",\"messages\":[{\"name\":\"shelter_update\",\"events\":[\"shelter.updated\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Shelter update\",\"description\":\"Where a shelter stands, whole: it replaces what was known before.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"shelter_update\"},\"data\":{\"type\":\"object\",\"properties\":{\"shelterId\":{\"type\":\"string\",\"minLength\":1},\"name\":{\"type\":\"string\"},\"status\":{\"enum\":[\"open\",\"full\",\"closed\"]},\"capacity\":{\"type\":\"integer\",\"minimum\":0,\"description\":\"Places.\"},\"occupancy\":{\"type\":\"integer\",\"minimum\":0,\"description\":\"People present; in an emergency this can exceed the capacity.\"},\"message\":{\"type\":\"string\"}},\"required\":[\"shelterId\",\"status\",\"capacity\",\"occupancy\"],\"additionalProperties\":false},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"shelter_update\"}],[\"data\",{\"object\":[[\"shelterId\",{\"place\":{\"path\":\"data.shelterId\",\"root\":\"data\",\"steps\":[\"shelterId\"],\"pointer\":\"/shelterId\"}}],[\"name\",{\"place\":{\"path\":\"data.name\",\"root\":\"data\",\"steps\":[\"name\"],\"pointer\":\"/name\",\"optional\":true}}],[\"status\",{\"place\":{\"path\":\"data.status\",\"root\":\"data\",\"steps\":[\"status\"],\"pointer\":\"/status\"}}],[\"capacity\",{\"place\":{\"path\":\"data.capacity\",\"root\":\"data\",\"steps\":[\"capacity\"],\"pointer\":\"/capacity\"}}],[\"occupancy\",{\"place\":{\"path\":\"data.occupancy\",\"root\":\"data\",\"steps\":[\"occupancy\"],\"pointer\":\"/occupancy\"}}],[\"message\",{\"place\":{\"path\":\"data.message\",\"root\":\"data\",\"steps\":[\"message\"],\"pointer\":\"/message\",\"optional\":true}}]]}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"role\",\"id\":[\"first_responder\"]},{\"kind\":\"role\",\"id\":[\"emergency_coordinator\"]},{\"kind\":\"shelter\",\"id\":[{\"path\":\"data.shelterId\",\"root\":\"data\",\"steps\":[\"shelterId\"],\"pointer\":\"/shelterId\"}]}],\"key\":[{\"path\":\"data.shelterId\",\"root\":\"data\",\"steps\":[\"shelterId\"],\"pointer\":\"/shelterId\"}]},{\"name\":\"alert\",\"events\":[\"alert.created\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Alert\",\"description\":\"Something that first responders and emergency coordinators must know, and those at a shelter if it names one.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"alert\"},\"data\":{\"type\":\"object\",\"properties\":{\"title\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"},\"severity\":{\"enum\":[\"low\",\"medium\",\"high\",\"critical\"]},\"shelterId\":{\"type\":\"string\",\"minLength\":1}},\"required\":[\"title\",\"message\",\"severity\"],\"additionalProperties\":false},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"alert\"}],[\"data\",{\"object\":[[\"title\",{\"place\":{\"path\":\"data.title\",\"root\":\"data\",\"steps\":[\"title\"],\"pointer\":\"/title\"}}],[\"message\",{\"place\":{\"path\":\"data.message\",\"root\":\"data\",\"steps\":[\"message\"],\"pointer\":\"/message\"}}],[\"severity\",{\"place\":{\"path\":\"data.severity\",\"root\":\"data\",\"steps\":[\"severity\"],\"pointer\":\"/severity\"}}],[\"shelterId\",{\"place\":{\"path\":\"data.shelterId\",\"root\":\"data\",\"steps\":[\"shelterId\"],\"pointer\":\"/shelterId\",\"optional\":true}}]]}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"role\",\"id\":[\"first_responder\"]},{\"kind\":\"role\",\"id\":[\"emergency_coordinator\"]},{\"kind\":\"shelter\",\"id\":[{\"path\":\"data.shelterId\",\"root\":\"data\",\"steps\":[\"shelterId\"],\"pointer\":\"/shelterId\",\"optional\":true}]}]},{\"name\":\"broadcast\",\"events\":[\"broadcast.created\"],\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"Broadcast\",\"description\":\"A text for everybody, for all who have a role, for one user, or for a shelter. A user is not told their own id.\",\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"broadcast\"},\"data\":{\"type\":\"object\",\"properties\":{\"target\":{\"enum\":[\"all\",\"role\",\"user\",\"shelter\"]},\"role\":{\"type\":\"string\",\"minLength\":1},\"shelterId\":{\"type\":\"string\",\"minLength\":1},\"title\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"}},\"required\":[\"target\",\"message\"],\"allOf\":[{\"if\":{\"properties\":{\"target\":{\"const\":\"role\"}}},\"then\":{\"required\":[\"role\"]}},{\"if\":{\"properties\":{\"target\":{\"const\":\"shelter\"}}},\"then\":{\"required\":[\"shelterId\"]}}],\"additionalProperties\":false},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}},\"required\":[\"type\",\"data\",\"timestamp\"],\"additionalProperties\":false},\"body\":{\"object\":[[\"type\",{\"value\":\"broadcast\"}],[\"data\",{\"object\":[[\"target\",{\"place\":{\"path\":\"data.target\",\"root\":\"data\",\"steps\":[\"target\"],\"pointer\":\"/target\"}}],[\"role\",{\"place\":{\"path\":\"data.role\",\"root\":\"data\",\"steps\":[\"role\"],\"pointer\":\"/role\",\"optional\":true}}],[\"shelterId\",{\"place\":{\"path\":\"data.shelterId\",\"root\":\"data\",\"steps\":[\"shelterId\"],\"pointer\":\"/shelterId\",\"optional\":true}}],[\"title\",{\"place\":{\"path\":\"data.title\",\"root\":\"data\",\"steps\":[\"title\"],\"pointer\":\"/title\",\"optional\":true}}],[\"message\",{\"place\":{\"path\":\"data.message\",\"root\":\"data\",\"steps\":[\"message\"],\"pointer\":\"/message\"}}]]}],[\"timestamp\",{\"place\":{\"path\":\"time\",\"root\":\"time\",\"steps\":[]}}]]},\"to\":[{\"kind\":\"all\",\"when\":[[{\"path\":\"data.target\",\"root\":\"data\",\"steps\":[\"target\"],\"pointer\":\"/target\"},\"all\"]]},{\"kind\":\"role\",\"id\":[{\"path\":\"data.role\",\"root\":\"data\",\"steps\":[\"role\"],\"pointer\":\"/role\"}],\"when\":[[{\"path\":\"data.target\",\"root\":\"data\",\"steps\":[\"target\"],\"pointer\":\"/target\"},\"role\"]]},{\"kind\":\"user\",\"id\":[{\"path\":\"data.userId\",\"root\":\"data\",\"steps\":[\"userId\"],\"pointer\":\"/userId\"}],\"when\":[[{\"path\":\"data.target\",\"root\":\"data\",\"steps\":[\"target\"],\"pointer\":\"/target\"},\"user\"]]},{\"kind\":\"shelter\",\"id\":[{\"path\":\"data.shelterId\",\"root\":\"data\",\"steps\":[\"shelterId\"],\"pointer\":\"/shelterId\"}],\"when\":[[{\"path\":\"data.target\",\"root\":\"data\",\"steps\":[\"target\"],\"pointer\":\"/target\"},\"shelter\"]]}]}]}",
);

/** The producer of the functions below. Unless it is configured, the environment does it at the first event. */
export const producer = sharedProducer(catalog);

/** Publishes `shelter.updated`, and resolves when it is stored. */
export function broadcastShelterUpdate(data: ShelterUpdated): Promise<Stored> {
  return producer.publish("shelter.updated", data);
}

/** Publishes `alert.created`, and resolves when it is stored. */
export function broadcastAlert(data: AlertCreated): Promise<Stored> {
  return producer.publish("alert.created", data);
}

/** Publishes `broadcast.created`, and resolves when it is stored. */
export function broadcast(data: BroadcastCreated): Promise<Stored> {
  return producer.publish("broadcast.created", data);
}
