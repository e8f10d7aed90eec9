/**
 * A client for tests: it prints a JSON object per line for whatever happens, and keeps its place in a file. SIGTERM ends it as
 * closing ends a page: at any time, but not in the middle of a handler.
 */

import { readFileSync, writeFileSync, writeSync } from "node:fs";

import { type Socket, createClient } from "@tidings/client";
import { withHttp } from "@tidings/client/http";
import WebSocket from "ws";

const { TIDINGS_URL: url = "", TIDINGS_TOKEN_FILE: tokens = "", TIDINGS_STORE: file = "", TIDINGS_PUBLISH: count = "0", TIDINGS_HTTP: http = "" } = process.env;

const print = (what: unknown) => {
  writeSync(1, JSON.stringify(what) + "\n");
};

process.on("SIGTERM", () => process.exit(0));

function items(): Record<string, string> {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Record<string, string>;
  } catch {
    return {};
  }
}

function connect(to: string, protocols: string[]): Socket {
  print({ connects: true });
  const socket = new WebSocket(to, protocols);
  socket.on("message", (data: Buffer) => {
    if (data.toString().startsWith('{"action":"authenticated"')) print({ authenticated: true });
  });
  return socket;
}

/** A network in which no WebSocket opens. */
function refuse(): Socket {
  const socket: Socket = { onopen: null, onmessage: null, onclose: null, onerror: null, send: () => undefined, close: () => undefined };
  setTimeout(() => socket.onclose?.({ code: 1006, reason: "" } as never), 1);
  return socket;
}

const client = createClient({
  url,
  token: () => readFileSync(tokens, "utf8"),
  reconnect: { delays: [50, 100, 200, 400] },
  heartbeat: 1000,
  patience: 5000,
  connect: http === "" ? connect : withHttp({ connect: http === "only" ? refuse : connect }),
  store: {
    getItem: (name) => items()[name] ?? null,
    setItem: (name, value) => {
      writeFileSync(file, JSON.stringify({ ...items(), [name]: value }));
    },
  },
});
client.onMessage((message) => {
  print({ message });
});
client.onGap((gap) => {
  print({ gap });
});
client.onError((error) => {
  print({ error: String(error) });
});
client.onState(() => {
  print({ state: client.state });
});
client.subscribe("incidents");
client.open();

const notification = { type: "info", priority: "low", message: "" };
for (let n = 0; n < Number(count); n++) {
  const data = { ...notification, title: `published ${String(n)}` };
  client.publish({ action: "created", type: "notification", data }).then(
    (id) => {
      print({ published: id });
    },
    (error: unknown) => {
      print({ refused: String(error) });
    },
  );
}
