// The messages of tenant `cnc`, written by `tidings types --tenant cnc --lang ts`.

import type { Catalog } from "@tidings/client";

/**
 * Volunteers updated
 *
 * The volunteers of an organization's operational period have changed; fetch them again.
 */
export interface VolunteersUpdated {
  readonly type: "volunteersUpdated";
  readonly orgId: string;
  readonly periodId: string;
}

/**
 * Assignments updated
 *
 * The assignments of an organization's operational period have changed; fetch them again.
 */
export interface AssignmentsUpdated {
  readonly type: "assignmentsUpdated";
  readonly orgId: string;
  readonly periodId: string;
}

/**
 * Periods updated
 *
 * The periods of an organization have changed; fetch them again.
 */
export interface PeriodsUpdated {
  readonly type: "periodsUpdated";
  readonly orgId: string;
}

/**
 * Units updated
 *
 * The units of an organization have changed; fetch them again.
 */
export interface UnitsUpdated {
  readonly type: "unitsUpdated";
  readonly orgId: string;
}

/**
 * Incidents updated
 *
 * The incidents of an organization have changed; fetch them again.
 */
export interface IncidentsUpdated {
  readonly type: "incidentsUpdated";
  readonly orgId: string;
}

/** Every message that a client may receive. */
export type CncMessage = VolunteersUpdated | AssignmentsUpdated | PeriodsUpdated | UnitsUpdated | IncidentsUpdated;

/** What the catalog permits: `createClient<CncCatalog>(…)`. */
export interface CncCatalog extends Catalog {
  readonly message: CncMessage;
  readonly topics: {};
  readonly routes: {};
  readonly publication: never;
}
