/** What needs no browser: a page is rendered on a server, without a connection. The rest is tested in a real browser. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { createClient } from "@tidings/client";
import { renderToString } from "react-dom/server";

import { TidingsProvider, useConnectionState, useNotifications, useProgress, useTidings, useTopic } from "../src/index.js";

function App() {
  const state = useConnectionState();
  const { unread } = useNotifications();
  const progress = useProgress({ docId: "d" }, { action: "progress", params: { docId: "d" } });
  useTopic("incidents");
  return (
    <p>
      {state.name} {unread} {typeof progress}
    </p>
  );
}

test("a page is rendered on a server", () => {
  const client = createClient({ url: "/api/ws" });
  const html = renderToString(
    <TidingsProvider client={client}>
      <App />
    </TidingsProvider>,
  );
  assert.equal(html.replaceAll("<!-- -->", ""), "<p>closed 0 undefined</p>");
});

test("a hook without a provider says what is missing", () => {
  function Lost() {
    useTidings();
    return null;
  }
  assert.throws(() => renderToString(<Lost />), /no TidingsProvider/);
});
