/**
 * Incident command. Messages carry no data: each names what to fetch again, as its document says (`volunteersUpdated` →
 * `refreshVolunteers()` and so on). After a gap everything is fetched again.
 */

import { useMessage, useTidings } from "@tidings/react";
import { useEffect, useState } from "react";

import type { CncCatalog } from "../types/src/cnc.js";
import { type Query, invalidate, publishEvent, useQuery } from "./backend.js";
import { Empty, Page, Panel, Publish, clock, connect, fetched, pick } from "./frame.js";

const orgId = "org-ridge-county-sar";
const PERIODS = ["day", "night"] as const;

/** A change, as the REST API lists them in this example. */
interface Change {
  readonly orgId: string;
  readonly periodId?: string;
  readonly note?: string;
}

/** What there is, what may happen to it, and whether it belongs to one operational period. */
const LISTS = {
  volunteers: { title: "Volunteers", isOfPeriod: true, notes: ["Kim has checked in", "Sam has checked out", "Lee is on the way"] },
  assignments: { title: "Assignments", isOfPeriod: true, notes: ["Kim searches sector 4", "Sam drives unit 2", "Lee is at the base"] },
  periods: { title: "Periods", isOfPeriod: false, notes: ["The night period is planned", "The day period has ended"] },
  units: { title: "Units", isOfPeriod: false, notes: ["Unit 2 is at the trailhead", "Unit 5 refuels"] },
  incidents: { title: "Incidents", isOfPeriod: false, notes: ["Hiker found", "Search area extended"] },
} as const;

type ListName = keyof typeof LISTS;
const names = Object.keys(LISTS) as ListName[];

let client: ReturnType<typeof connect> | undefined;

export function Cnc({ gateway }: { readonly gateway: string }) {
  client ??= connect<CncCatalog>(gateway, "cnc", { sub: "kim", orgId });
  const [periodId, setPeriod] = useState<string>(PERIODS[0]);
  const choice = (
    <label>
      Kim<span className="wide">, Ridge County</span>, period{" "}
      <select value={periodId} onChange={(event) => setPeriod(event.target.value)}>
        {PERIODS.map((one) => (
          <option key={one}>{one}</option>
        ))}
      </select>
    </label>
  );
  return (
    <Page name="cnc" client={client} user={choice}>
      <Hints periodId={periodId} />
      <Buttons periodId={periodId} />
      <div className="grid">
        {names.map((name) => (
          <List key={name} name={name} periodId={periodId} />
        ))}
      </div>
    </Page>
  );
}

/** Each hint leads to one query; those of another period than the one on the screen, to none. */
function Hints({ periodId }: { readonly periodId: string }) {
  const client = useTidings<CncCatalog>();
  useMessage<CncCatalog>({ type: "volunteersUpdated", periodId }, () => invalidate("volunteers"));
  useMessage<CncCatalog>({ type: "assignmentsUpdated", periodId }, () => invalidate("assignments"));
  useMessage<CncCatalog>({ type: "periodsUpdated" }, () => invalidate("periods"));
  useMessage<CncCatalog>({ type: "unitsUpdated" }, () => invalidate("units"));
  useMessage<CncCatalog>({ type: "incidentsUpdated" }, () => invalidate("incidents"));
  useEffect(() => client.onGap(() => invalidate(...names)), [client]);
  return null;
}

function Buttons({ periodId }: { readonly periodId: string }) {
  const actions = names.map((name) => {
    const { title, isOfPeriod, notes } = LISTS[name];
    const change = () => ({ orgId, ...(isOfPeriod && { periodId }), note: pick(notes) });
    return { label: `Change ${title.toLowerCase()}`, run: () => publishEvent("cnc", `${name}.updated`, change()) };
  });
  return <Publish actions={actions} />;
}

function List({ name, periodId }: { readonly name: ListName; readonly periodId: string }) {
  const query: Query<Change> = useQuery("cnc", name);
  const { title, isOfPeriod } = LISTS[name];
  const changes = query.data.filter(({ data }) => !isOfPeriod || data.periodId === periodId);
  return (
    <Panel title={title} note={fetched(query)} id={name}>
      {changes.length === 0 ? (
        <Empty>Nothing has changed yet.</Empty>
      ) : (
        <ul className="rows">
          {changes.slice(0, 5).map(({ time, data }, index) => (
            <li key={time + String(index)}>
              <span>{data.note ?? "Changed"}</span> <small>{clock(time)}</small>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}
