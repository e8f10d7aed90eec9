/**
 * `@tidings/react`: hooks over a client of `@tidings/client`.
 *
 * The client lives outside React; `TidingsProvider` opens it and lets it go. Handlers are looked up when a message comes, so a
 * component's newest closure is called and nothing is registered again on each render.
 */

import type { About, AnyCatalog, Catalog, FiltersOf, Matching, PatternOf, RouteOf, State, Tidings, TopicOf } from "@tidings/client";
import {
  type ReactElement,
  type ReactNode,
  createContext,
  createElement,
  useCallback,
  useContext,
  useEffect,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";

const Context = createContext<unknown>(undefined);

/** How many providers need a client. */
const holders = new WeakMap<object, number>();

/**
 * Opens a client, until all that hold it have let it go. Whoever takes it again at once, as React does in StrictMode, finds
 * the connection open.
 */
function hold(client: { open(): void; close(): void }): () => void {
  const count = (change: number) => {
    const holding = (holders.get(client) ?? 0) + change;
    holders.set(client, holding);
    return holding;
  };
  count(1);
  client.open();
  return () => {
    count(-1);
    void Promise.resolve().then(() => {
      if (count(0) === 0) client.close();
    });
  };
}

/** Opens the client as long as it is mounted. */
export function TidingsProvider<C extends Catalog>(props: {
  readonly client: Tidings<C>;
  readonly children?: ReactNode;
}): ReactElement {
  const { client, children } = props;
  useEffect(() => hold(client), [client]);
  return createElement(Context.Provider, { value: client }, children);
}

/** The client of the provider. */
export function useTidings<C extends Catalog = AnyCatalog>(): Tidings<C> {
  const client = useContext(Context);
  if (!client) throw new Error("there is no TidingsProvider above this component");
  return client as Tidings<C>;
}

/** The state of the connection. */
export function useConnectionState(): State {
  const client = useTidings();
  const subscribe = useCallback((listener: () => void) => client.onState(listener), [client]);
  const read = () => client.state;
  return useSyncExternalStore(subscribe, read, read);
}

/** What was given at the last render. */
function useNewest<Value>(value: Value): { readonly current: Value } {
  const newest = useRef(value);
  useEffect(() => {
    newest.current = value;
  });
  return newest;
}

/** Calls the handler with each message that matches the pattern. */
export function useMessage<C extends Catalog = AnyCatalog, const Pattern extends object = object>(
  pattern: PatternOf<C["message"], Pattern>,
  handler: (message: Matching<C["message"], Pattern>, about: About) => unknown,
): void {
  const client = useTidings<C>();
  const newest = useNewest(handler);
  const key = JSON.stringify(pattern);
  useEffect(
    () => client.on<Pattern>(JSON.parse(key) as PatternOf<C["message"], Pattern>, (message, about) => newest.current(message, about)),
    [client, key, newest],
  );
}

/** Subscribes to a topic as long as the component is mounted. */
export function useTopic<C extends Catalog = AnyCatalog, T extends TopicOf<C> = TopicOf<C>>(
  topic: T,
  filters?: FiltersOf<C, T>,
): void {
  const client = useTidings<C>();
  const key = JSON.stringify(filters ?? {});
  useEffect(() => client.subscribe(topic, JSON.parse(key) as FiltersOf<C, T>), [client, topic, key]);
}

/**
 * The newest message that matches the pattern, such as the progress of one document. With a request, what it was before this
 * component came, too: `useProgress({ docId }, { action: "progress", params: { docId } })`.
 */
export function useProgress<C extends Catalog = AnyCatalog, const Pattern extends object = object>(
  pattern: PatternOf<C["message"], Pattern>,
  request?: { readonly action: RouteOf<C>; readonly params: C["routes"][RouteOf<C>]["params"] },
): Matching<C["message"], Pattern> | undefined {
  type Found = Matching<C["message"], Pattern>;
  const client = useTidings<C>();
  const of = JSON.stringify([pattern, request ?? null]);
  const [found, setFound] = useState<{ readonly of: string; readonly message: Found }>();
  useEffect(() => {
    let isNewest = true;
    const [wanted, asked] = JSON.parse(of) as [PatternOf<C["message"], Pattern>, typeof request | null];
    const end = client.on<Pattern>(wanted, (message) => {
      isNewest = false;
      setFound({ of, message });
    });
    if (asked) {
      // Nothing is known of it yet, or the client was closed: what comes later is seen all the same.
      const ignore = () => undefined;
      client.request(asked.action, asked.params).then((answer) => {
        if (isNewest) setFound({ of, message: answer as Found });
      }, ignore);
    }
    return () => {
      isNewest = false;
      end();
    };
  }, [client, of]);
  return found?.of === of ? found.message : undefined;
}

/** Where notifications are kept over reloads. */
interface Store {
  getItem(name: string): string | null;
  setItem(name: string, value: string): unknown;
}

interface Kept<Message> {
  /** Each with its position: tabs that share a connection keep it once. */
  readonly entries: readonly { readonly position: string; readonly message: Message }[];
  readonly unread: number;
}

export interface Notifications<Message> {
  /** The newest first. */
  readonly messages: readonly Message[];
  readonly unread: number;
  /** Sets `unread` to 0. */
  readonly markRead: () => void;
  readonly clear: () => void;
}

/** What browsers have. */
interface Globals {
  readonly localStorage?: Store;
  addEventListener?(name: "storage", listener: (event: { readonly key: string | null }) => void): void;
  removeEventListener?(name: "storage", listener: (event: { readonly key: string | null }) => void): void;
}

const globals = globalThis as unknown as Globals;

/** Where nothing can be kept, as in some frames, notifications last as long as the page. */
function storeHere(): Store {
  try {
    if (globals.localStorage) return globals.localStorage;
  } catch {
    // Not permitted here.
  }
  return fallback;
}

const items = new Map<string, string>();
const fallback: Store = {
  getItem: (name) => items.get(name) ?? null,
  setItem: (name, value) => items.set(name, value),
};

function read<Message>(name: string, store: Store): Kept<Message> {
  try {
    const kept = JSON.parse(store.getItem(name) ?? "") as Kept<Message>;
    if (Array.isArray(kept.entries)) return kept;
  } catch {
    // Nothing is there yet, or it is of somebody else.
  }
  return { entries: [], unread: 0 };
}

/** The last notifications, and how many were not read; kept in `localStorage`, the same in all tabs. */
export function useNotifications<C extends Catalog = AnyCatalog, const Pattern extends object = { type: "notification" }>(
  options: { readonly pattern?: PatternOf<C["message"], Pattern>; readonly keep?: number; readonly name?: string; readonly store?: Store } = {},
): Notifications<Matching<C["message"], Pattern>> {
  type Message = Matching<C["message"], Pattern>;
  const { keep = 50, name = "tidings:notifications" } = options;
  const pattern = (options.pattern ?? { type: "notification" }) as PatternOf<C["message"], Pattern>;
  const [{ entries, unread }, setKept] = useState<Kept<Message>>({ entries: [], unread: 0 });
  const store = options.store ?? storeHere();
  // After the first render, which is the server's, too.
  useEffect(() => {
    const refresh = (event?: { readonly key: string | null }) => {
      if (!event || event.key === name) setKept(read<Message>(name, store));
    };
    refresh();
    globals.addEventListener?.("storage", refresh);
    return () => globals.removeEventListener?.("storage", refresh);
  }, [name, store]);
  const change = (to: (before: Kept<Message>) => Kept<Message>) => {
    const next = to(read(name, store));
    store.setItem(name, JSON.stringify(next));
    setKept(next);
  };
  useMessage<C, Pattern>(pattern, (message, { position }) => {
    change((before) =>
      before.entries.some((entry) => entry.position === position)
        ? before
        : { entries: [{ position, message }, ...before.entries].slice(0, keep), unread: before.unread + 1 },
    );
  });
  return {
    messages: entries.map(({ message }) => message),
    unread,
    markRead: () => {
      change((before) => ({ ...before, unread: 0 }));
    },
    clear: () => {
      change(() => ({ entries: [], unread: 0 }));
    },
  };
}
