// A client of the package `ws`, which the test starts and watches: it prints a line for each thing that happens, and
// what it was told to do is in its arguments.
//
//     node client.cjs <url> <compression: on|off> <who closes: client|gateway> <messages to await>
"use strict";

const net = require("node:net");
const WebSocket = require("ws");

const [url, compression, closing, awaited] = process.argv.slice(2);

let tcp;
const socket = new WebSocket(url, {
  // Without a threshold, `ws` compresses whatever it sends.
  perMessageDeflate: compression === "on" && { threshold: 0 },
  createConnection: (options) => (tcp = net.connect(options)),
});
const say = (...words) => console.log(...words);
const send = (message) => socket.send(JSON.stringify(message));

let received = 0;
let answered = 0;
const handlers = {
  // The first is the answer to the long ping: whatever was asked before is done.
  pong() {
    answered += 1;
    if (answered === 1) say("ready");
  },
  error: ({ data }) => say("error", data.code),
};

function receive(text) {
  const message = JSON.parse(text);
  const kind = message.action === "pong" ? "pong" : message.type;
  if (handlers[kind]) return handlers[kind](message);
  say("message", text);
  received += 1;
  if (received === Number(awaited)) {
    say("bytes", tcp.bytesRead);
    if (closing === "client") socket.close(4321, "good night");
  }
}

socket.on("open", () => {
  say(`extensions [${socket.extensions}]`);
  // A message in three fragments, cut within a character, with a control frame between them.
  const subscribe = Buffer.from(JSON.stringify({ note: "grüße", action: "subscribe", topics: ["incidents"] }));
  const cut = subscribe.indexOf(Buffer.from("ü")) + 1;
  socket.send(subscribe.subarray(0, cut), { binary: false, fin: false });
  socket.ping("17");
  socket.send(subscribe.subarray(cut, cut + 9), { binary: false, fin: false });
  socket.send(subscribe.subarray(cut + 9), { binary: false, fin: true });
  socket.send(Buffer.from([0, 159, 146, 150]));
  send({ action: "ping", padding: "x".repeat(10_000) });
});
socket.on("pong", (payload) => say("pong", payload.toString()));
socket.on("message", (data, isBinary) => (isBinary ? say("binary") : receive(data.toString())));
socket.on("error", (error) => say("failed", error.message));
socket.on("close", (code, reason) => say("closed", code, reason.toString()));
