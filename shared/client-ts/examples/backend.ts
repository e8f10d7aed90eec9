/**
 * What the pages ask of their backends: a token, records, and, since nothing else happens on a developer's machine, to publish an
 * event. Here `tidings dev` answers; in a system of yours, your login, your REST API and your microservices do.
 */

import { useCallback, useEffect, useState, useSyncExternalStore } from "react";

async function ask(path: string, body?: unknown): Promise<Response> {
  const post = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch("/examples/" + path, body === undefined ? {} : post);
  if (!response.ok) throw new Error((await response.text()).trim());
  return response;
}

/** Who looks at the page, as their token says. */
export interface User {
  readonly sub: string;
  readonly [claim: string]: string;
}

export const fetchToken = async (tenant: string, claims: User): Promise<string> =>
  (await ask("token", { tenant, claims })).text();

export const fetchSettings = async () =>
  (await (await ask("settings")).json()) as { readonly gateway: string; readonly pages: readonly string[] };

/** Publishes an event as a microservice would. */
export const publishEvent = async (tenant: string, event: string, data: object): Promise<void> => {
  await ask(`events/${tenant}/${event}`, data);
};

/** What the REST API says about an entity: what has happened to it, the newest first. */
export interface Happening<Data> {
  readonly action: string;
  readonly time: string;
  readonly data: Data;
}

/** The records that are there now, the newest first: of each, what was said of it last. */
export function current<Data extends { readonly id: string }>(happenings: readonly Happening<Data>[]): Data[] {
  const newest = new Map<string, Happening<Data>>();
  for (const one of happenings) if (!newest.has(one.data.id)) newest.set(one.data.id, one);
  return [...newest.values()].filter(({ action }) => action !== "deleted").map(({ data }) => data);
}

/** A cache of queries as frontends have it; small, to be read. Use your library's. */
const generations = new Map<string, number>();
const listeners = new Set<() => void>();

/** Has a query fetched again wherever it is shown. */
export function invalidate(...queries: string[]): void {
  for (const query of queries) generations.set(query, (generations.get(query) ?? 0) + 1);
  for (const listener of listeners) listener();
}

export interface Query<Data> {
  readonly data: readonly Happening<Data>[];
  readonly error: string;
  /** How often it was fetched, which applications have no need of. */
  readonly fetches: number;
}

/** Fetches an entity's records, now and whenever the query of its name is invalidated. */
export function useQuery<Data>(tenant: string, entity: string): Query<Data> {
  const listen = useCallback((listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, []);
  const generation = useSyncExternalStore(listen, () => generations.get(entity) ?? 0);
  const [query, setQuery] = useState<Query<Data>>({ data: [], error: "", fetches: 0 });
  useEffect(() => {
    let isNewest = true;
    const done = (found: Partial<Query<Data>>) => {
      if (isNewest) setQuery((before) => ({ ...before, error: "", ...found, fetches: before.fetches + 1 }));
    };
    ask(`records/${tenant}/${entity}`)
      .then(async (response) => (await response.json()) as Happening<Data>[])
      .then(
        (data) => done({ data }),
        (error: unknown) => done({ error: String(error) }),
      );
    return () => {
      isNewest = false;
    };
  }, [tenant, entity, generation]);
  return query;
}
