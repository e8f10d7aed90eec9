// The messages of tenant `shelter`, written by `tidings types --tenant shelter --lang ts`.

import type { Catalog } from "@tidings/client";

/**
 * Shelter update
 *
 * Where a shelter stands, whole: it replaces what was known before.
 */
export interface ShelterUpdate {
  readonly type: "shelter_update";
  readonly data: {
    readonly shelterId: string;
    readonly name?: string;
    readonly status: "open" | "full" | "closed";
    /** Places. */
    readonly capacity: number;
    /** People present; in an emergency this can exceed the capacity. */
    readonly occupancy: number;
    readonly message?: string;
  };
  readonly timestamp: string;
}

/**
 * Alert
 *
 * Something that first responders and emergency coordinators must know, and those at a shelter if it names one.
 */
export interface Alert {
  readonly type: "alert";
  readonly data: {
    readonly title: string;
    readonly message: string;
    readonly severity: "low" | "medium" | "high" | "critical";
    readonly shelterId?: string;
  };
  readonly timestamp: string;
}

/**
 * Broadcast
 *
 * A text for everybody, for all who have a role, for one user, or for a shelter. A user is not told their own id.
 */
export interface Broadcast {
  readonly type: "broadcast";
  readonly data: {
    readonly target: "all" | "role" | "user" | "shelter";
    readonly role?: string;
    readonly shelterId?: string;
    readonly title?: string;
    readonly message: string;
  };
  readonly timestamp: string;
}

/** Every message that a client may receive. */
export type ShelterMessage = ShelterUpdate | Alert | Broadcast;

/** What the catalog permits: `createClient<ShelterCatalog>(…)`. */
export interface ShelterCatalog extends Catalog {
  readonly message: ShelterMessage;
  readonly topics: {};
  readonly routes: {};
  readonly publication: {
    readonly action: "shelter_update";
    readonly data: {
      readonly shelterId: string;
      readonly name?: string;
      readonly status: "open" | "full" | "closed";
      /** Places. */
      readonly capacity: number;
      /** People present; in an emergency this can exceed the capacity. */
      readonly occupancy: number;
      readonly message?: string;
    };
  } | {
    readonly action: "alert";
    readonly data: {
      readonly title: string;
      readonly message: string;
      readonly severity: "low" | "medium" | "high" | "critical";
      readonly shelterId?: string;
    };
  } | {
    readonly action: "broadcast";
    readonly data: {
      readonly target: "all" | "role" | "user" | "shelter";
      readonly role?: string;
      readonly shelterId?: string;
      readonly title?: string;
      readonly message: string;
      readonly userId?: string;
    };
  };
}
