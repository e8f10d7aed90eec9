/**
 * Shelters: responders and coordinators see the state of each, operators their own. Alerts and broadcasts reach whom they
 * concern. Who may publish what is in the catalog; the gateway refuses the rest, and the page shows why.
 */

import { useMessage, useTidings } from "@tidings/react";
import { useEffect, useState } from "react";

import type { Alert, Broadcast, ShelterCatalog, ShelterUpdate } from "../types/src/shelter.js";
import { invalidate, publishEvent, useQuery } from "./backend.js";
import { type Action, Badge, Bar, Empty, Page, Panel, Publish, type Severity, clock, connect, fetched, pick, useToast } from "./frame.js";

const SHELTERS = { s1: "North School", s2: "Town Hall", s3: "Sports Hall" } as const;
type ShelterId = keyof typeof SHELTERS;

const PEOPLE = {
  responder: { title: "Rae, first responder", claims: { sub: "rae", role: "first_responder" } },
  coordinator: { title: "Cleo, coordinator", claims: { sub: "cleo", role: "emergency_coordinator" } },
  operator: { title: "Oli, operator of the North School", claims: { sub: "oli", role: "shelter_operator", shelterId: "s1" } },
} as const;
type Person = keyof typeof PEOPLE;

const clients = new Map<Person, ReturnType<typeof connect>>();

/** One client for each person, made when it is shown first. */
function clientOf(gateway: string, person: Person): ReturnType<typeof connect> {
  const client = clients.get(person) ?? connect<ShelterCatalog>(gateway, "shelter", PEOPLE[person].claims);
  clients.set(person, client);
  return client;
}

export function Shelter({ gateway }: { readonly gateway: string }) {
  const [person, setPerson] = useState<Person>("responder");
  const choice = (
    <label>
      <span className="wide">You are </span>
      <select value={person} onChange={(event) => setPerson(event.target.value as Person)} aria-label="You are">
        {Object.entries(PEOPLE).map(([name, { title }]) => (
          <option key={name} value={name}>
            {title}
          </option>
        ))}
      </select>
    </label>
  );
  return (
    <Page key={person} name="shelter" client={clientOf(gateway, person)} user={choice}>
      <Buttons person={person} />
      <div className="columns two">
        <Dashboard person={person} />
        <Feed />
      </div>
    </Page>
  );
}

function someUpdate(shelterId: ShelterId) {
  const capacity = 120;
  const occupancy = Math.floor(Math.random() * (capacity + 1));
  const status = occupancy === capacity ? "full" : "open";
  return { shelterId, name: SHELTERS[shelterId], status, capacity, occupancy } as const;
}

function Buttons({ person }: { readonly person: Person }) {
  const tidings = useTidings<ShelterCatalog>();
  const shelterId = pick<ShelterId>(["s1", "s2", "s3"]);
  // What the service publishes, and what clients say themselves as far as the catalog lets them.
  const service: Action[] = [
    { label: "Shelter update", run: () => publishEvent("shelter", "shelter.updated", someUpdate(shelterId)) },
    {
      label: "Alert",
      run: () => publishEvent("shelter", "alert.created", { title: "Water", message: "The supply is interrupted", severity: "high", shelterId }),
    },
  ];
  const own: Record<Person, Action[]> = {
    responder: [],
    coordinator: [
      {
        label: "Broadcast to all",
        run: () => tidings.publish({ action: "broadcast", data: { target: "all", title: "Road closed", message: "Use the northern road" } }),
      },
    ],
    operator: [
      { label: "Update my shelter", run: () => tidings.publish({ action: "shelter_update", data: someUpdate("s1") }) },
      { label: "Update another (refused)", run: () => tidings.publish({ action: "shelter_update", data: someUpdate("s2") }) },
    ],
  };
  return <Publish actions={[...service, ...own[person]]} />;
}

function Dashboard({ person }: { readonly person: Person }) {
  const query = useQuery<ShelterUpdate["data"]>("shelter", "shelter");
  const client = useTidings<ShelterCatalog>();
  useMessage<ShelterCatalog>({ type: "shelter_update" }, () => invalidate("shelter"));
  useEffect(() => client.onGap(() => invalidate("shelter")), [client]);
  const newest = new Map<string, ShelterUpdate["data"]>();
  for (const { data } of query.data) if (!newest.has(data.shelterId)) newest.set(data.shelterId, data);
  const mine = person === "operator" ? PEOPLE.operator.claims.shelterId : undefined;
  const shelters = [...newest.values()].filter(({ shelterId }) => !mine || shelterId === mine);
  shelters.sort((one, other) => one.shelterId.localeCompare(other.shelterId));
  return (
    <Panel title="Shelters" note={fetched(query)} id="shelters">
      {shelters.length === 0 ? (
        <Empty>No shelter has said how it stands.</Empty>
      ) : (
        <ul className="bars">
          {shelters.map(({ shelterId, name, status, capacity, occupancy }) => (
            <li key={shelterId} data-shelter={shelterId}>
              <div>
                <strong>{name ?? shelterId}</strong> <Badge kind={status}>{status}</Badge>
                <small>
                  {occupancy} of {capacity} places
                </small>
              </div>
              <Bar label={`Occupancy of ${name ?? shelterId}`} value={(100 * occupancy) / capacity} kind={status === "full" ? "error" : ""} />
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

const SEVERITIES: Record<Alert["data"]["severity"], Severity> = { low: "info", medium: "warning", high: "warning", critical: "error" };

interface Heard {
  readonly title: string;
  readonly text: string;
  readonly severity: Severity;
  readonly timestamp: string;
}

const ofAlert = ({ data, timestamp }: Alert): Heard => {
  return { title: `Alert: ${data.title}`, text: data.message, severity: SEVERITIES[data.severity], timestamp };
};
const ofBroadcast = ({ data, timestamp }: Broadcast): Heard => {
  return { title: data.title ?? "Broadcast", text: data.message, severity: "info", timestamp };
};

function Feed() {
  const toast = useToast();
  const [heard, setHeard] = useState<readonly Heard[]>([]);
  const hear = (one: Heard) => {
    toast(one);
    setHeard((before) => [one, ...before].slice(0, 50));
  };
  useMessage<ShelterCatalog>({ type: "alert" }, (message) => hear(ofAlert(message as Alert)));
  useMessage<ShelterCatalog>({ type: "broadcast" }, (message) => hear(ofBroadcast(message as Broadcast)));
  return (
    <Panel title="Alerts and broadcasts" id="feed">
      {heard.length === 0 ? (
        <Empty>None since this page is open.</Empty>
      ) : (
        <ul className="entries">
          {heard.map(({ title, text, severity, timestamp }, index) => (
            <li key={timestamp + String(index)} className={severity}>
              <strong>{title}</strong>
              <p>{text}</p>
              <small>{clock(timestamp)}</small>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}
