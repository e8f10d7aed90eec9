/** What the five pages share: the header with the connection, notices that go by, panels, buttons that publish. */

import type { Catalog, State } from "@tidings/client";
import { createTabsClient } from "@tidings/client/tabs";
import { TidingsProvider, useConnectionState, useTidings } from "@tidings/react";
import { type ReactNode, createContext, useCallback, useContext, useEffect, useRef, useState } from "react";

import { type User, fetchToken } from "./backend.js";

export const PAGES = {
  ops: { title: "Ops Control Center", about: "Incidents, tasks, assets, alerts and metrics by topic, notices by user." },
  cnc: { title: "Incident Command", about: "Hints to fetch again what has changed; REST keeps the truth." },
  documents: { title: "Document Processing", about: "Progress of documents, asked for when the page opens." },
  shelter: { title: "Shelter Network", about: "The state of shelters for responders, alerts, broadcasts by role." },
  uploads: { title: "Uploads", about: "Progress of uploads, and what became of them." },
} as const;

export type PageName = keyof typeof PAGES;

export type Severity = "info" | "success" | "warning" | "error";

export interface Toast {
  readonly title: string;
  readonly text?: string;
  readonly severity?: Severity;
}

const ToastContext = createContext<(toast: Toast) => void>(() => undefined);

/** Shows a notice for some seconds. */
export const useToast = () => useContext(ToastContext);

/** One connection for all tabs of this user. */
export const connect = <C extends Catalog>(gateway: string, tenant: string, user: User) =>
  createTabsClient<C>({
    url: gateway,
    token: () => fetchToken(tenant, user),
    name: [tenant, ...Object.values(user)].join(":"),
    // So that a demonstration does not wait; the default begins with three seconds.
    reconnect: { delays: [500, 1000, 2000, 4000, 8000] },
  });

export function Page(props: {
  readonly name: PageName;
  readonly client: ReturnType<typeof connect>;
  readonly user: ReactNode;
  readonly children: ReactNode;
}) {
  const { title, about } = PAGES[props.name];
  useEffect(() => {
    document.title = `${title} · Tidings`;
  }, [title]);
  return (
    <TidingsProvider client={props.client}>
      <Toasts>
        <a className="skip" href="#main">
          Skip to content
        </a>
        <header>
          <Navigation here={props.name} />
          <Connection />
        </header>
        <main id="main" tabIndex={-1}>
          <div className="head">
            <div>
              <h1>{title}</h1>
              <p>{about}</p>
            </div>
            {props.user}
          </div>
          {props.children}
        </main>
      </Toasts>
    </TidingsProvider>
  );
}

export function Navigation({ here }: { readonly here?: PageName }) {
  // On a phone, not all of them are on the screen at once.
  const show = (link: HTMLElement | null) => link?.scrollIntoView({ inline: "center", block: "nearest" });
  return (
    <nav aria-label="Examples">
      <a className="brand" href="/examples/" {...(!here && { "aria-current": "page" })}>
        Tidings
      </a>
      {Object.entries(PAGES).map(([name, { title }]) => (
        <a key={name} href={`/examples/${name}/`} {...(name === here && { "aria-current": "page", ref: show })}>
          {title}
        </a>
      ))}
    </nav>
  );
}

const STATES = {
  connecting: "Connecting",
  "catching-up": "Catching up",
  live: "Live",
  waiting: "Waiting",
  closed: "Offline",
};

/** Why there is no connection, as far as a user can do something about it. */
function reasonOf(state: State): string {
  if (state.name === "waiting") return `${state.reason}${state.code ? ` (${String(state.code)})` : ""}; tries again`;
  return state.name === "closed" && state.reason !== "application" ? state.reason : "";
}

function Connection() {
  const client = useTidings();
  const state = useConnectionState();
  const reason = reasonOf(state);
  return (
    <div className="connection">
      <span className={`state ${state.name}`} role="status" id="state" data-state={state.name}>
        {STATES[state.name]}
        {reason && <small> {reason}</small>}
      </span>
      {state.name === "closed" ? (
        <button className="quiet" onClick={() => client.open()}>
          Go online
        </button>
      ) : (
        <button className="quiet" onClick={() => client.close()}>
          Go offline
        </button>
      )}
    </div>
  );
}

const SHOWN = 6000;

function Toasts({ children }: { readonly children: ReactNode }) {
  const [toasts, setToasts] = useState<readonly (Toast & { readonly key: number })[]>([]);
  const next = useRef(0);
  const drop = useCallback((key: number) => {
    setToasts((before) => before.filter((one) => one.key !== key));
  }, []);
  const show = useCallback(
    (toast: Toast) => {
      const key = next.current++;
      setToasts((before) => [...before.slice(-3), { ...toast, key }]);
      setTimeout(() => drop(key), SHOWN);
    },
    [drop],
  );
  return (
    <ToastContext value={show}>
      {children}
      <div className="toasts" role="log" aria-label="Notices">
        {toasts.map(({ key, title, text, severity = "info" }) => (
          <div key={key} className={`toast ${severity}`}>
            <div>
              <strong>{title}</strong>
              {text && <p>{text}</p>}
            </div>
            <button className="quiet" aria-label={`Dismiss: ${title}`} onClick={() => drop(key)}>
              ×
            </button>
          </div>
        ))}
      </div>
    </ToastContext>
  );
}

/** A panel with a heading; `note` says what is behind it. */
export function Panel(props: { readonly title: string; readonly note?: ReactNode; readonly id?: string; readonly children: ReactNode }) {
  return (
    <section className="panel" aria-label={props.title} {...(props.id && { id: props.id })}>
      <div className="panel-head">
        <h2>{props.title}</h2>
        {props.note && <span className="note">{props.note}</span>}
      </div>
      {props.children}
    </section>
  );
}

/** Says how often a query was fetched, so that one sees it happen. */
export const fetched = ({ fetches, error }: { readonly fetches: number; readonly error: string }) =>
  error || `fetched ${String(fetches)} ${fetches === 1 ? "time" : "times"}`;

export interface Action {
  readonly label: string;
  readonly run: () => Promise<unknown>;
}

/** Buttons that publish. What refuses is shown. */
export function Publish({ actions, children }: { readonly actions: readonly Action[]; readonly children?: ReactNode }) {
  const toast = useToast();
  const run = (action: Action) => {
    action.run().catch((error: unknown) => {
      toast({ title: "Not published", text: error instanceof Error ? error.message : String(error), severity: "error" });
    });
  };
  return (
    <Panel title="Publish" note="as a microservice would">
      {children}
      <div className="buttons">
        {actions.map((action, index) => (
          <button key={action.label} className={index === 0 ? "first" : ""} onClick={() => run(action)}>
            {action.label}
          </button>
        ))}
      </div>
    </Panel>
  );
}

export const Empty = ({ children }: { readonly children: ReactNode }) => <p className="empty">{children}</p>;

export const Badge = ({ kind, children }: { readonly kind: string; readonly children: ReactNode }) => (
  <span className={`badge ${kind}`}>{children}</span>
);

export function Bar({ label, value, kind = "" }: { readonly label: string; readonly value: number; readonly kind?: string }) {
  const percent = Math.round(Math.min(100, Math.max(0, value)));
  return <progress className={kind} aria-label={label} max={100} value={percent} />;
}

export const clock = (time: string) => {
  const date = new Date(time);
  return (
    <time dateTime={time}>{Number.isNaN(date.getTime()) ? time : date.toLocaleTimeString([], { hour12: false })}</time>
  );
};

/** The route of the application that the address shows behind `#`, such as `/infra?tab=incidents`. */
export function useRoute(): string {
  const read = () => location.hash.slice(1);
  const [route, setRoute] = useState(read);
  useEffect(() => {
    const changed = () => setRoute(read());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return route;
}

let counter = 0;

/** An id that nobody had before, short enough to be read. */
export const fresh = (prefix: string) => `${prefix}-${Date.now().toString(36).slice(-4)}${String(counter++)}`;

export const pick = <One,>(all: readonly [One, ...One[]]): One => all[Math.floor(Math.random() * all.length)] ?? all[0];

export const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));
