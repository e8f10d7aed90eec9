/** A page for tests in a browser: in StrictMode, with a connection of its own or one for all tabs, by HTTP where it has to. */

import { createClient } from "@tidings/client";
import { withHttp } from "@tidings/client/http";
import { createTabsClient } from "@tidings/client/tabs";
import { TidingsProvider, useConnectionState, useMessage, useNotifications, useTidings, useTopic } from "@tidings/react";
import { StrictMode, useEffect } from "react";
import { createRoot } from "react-dom/client";

interface Hooks {
  titles: string[];
  publish: (title: string) => Promise<string>;
}

const hooks = window as unknown as Hooks;
hooks.titles = [];

const query = new URLSearchParams(location.search);
const options = {
  url: query.get("gateway") ?? "",
  token: () => query.get("token"),
  reconnect: { delays: [50, 100, 200] },
  ...(query.has("http") ? { connect: withHttp() } : {}),
};
const client = query.has("tabs") ? createTabsClient(options) : createClient(options);

function App() {
  const tidings = useTidings();
  const state = useConnectionState();
  const { messages, unread, markRead } = useNotifications();
  useTopic("incidents", { squad: "platform" });
  useMessage({ type: "notification" }, (message) => {
    hooks.titles.push((message["data"] as { title: string }).title);
  });
  useEffect(() => {
    hooks.publish = (title) =>
      tidings.publish({ action: "created", type: "notification", data: { title, message: "", type: "info", priority: "low" } });
  }, [tidings]);
  return (
    <>
      <p id="state">{state.name}</p>
      <p id="kept">{messages.length}</p>
      <button id="unread" onClick={markRead}>
        {unread}
      </button>
    </>
  );
}

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <TidingsProvider client={client}>
        <App />
      </TidingsProvider>
    </StrictMode>,
  );
}
