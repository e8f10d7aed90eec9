// Runs the script of the page in README.md as a browser would, with time twenty times as fast.
//
//     node page.cjs <README.md> <address of the gateway> <query> [<file with the token of the moment>]
"use strict";

const fs = require("node:fs");
const WebSocket = require("ws");

const [readme, gateway, query, tokens] = process.argv.slice(2);
const [, script] = fs.readFileSync(readme, "utf8").match(/<script type="module">\n(.*?)<\/script>/s);
const replaced = (text, pattern, by) => {
  if (!pattern.test(text)) throw new Error(`the page has no ${pattern}`);
  return text.replace(pattern, by);
};

let page = replaced(script, /ws:\/\/127\.0\.0\.1:8080/, gateway);
if (tokens) page = replaced(page, /const fetchToken = .*;/, "const fetchToken = fetchFromFile;");

const later = setTimeout;
const fasterTimeout = (call, time) => {
  console.log("waits", time);
  later(call, time / 20);
};
class BrowserSocket extends WebSocket {
  constructor(...address) {
    super(...address);
    console.log("connects");
    this.on("open", () => console.log("opened"));
    // Browsers tell of what failed before the connection was open in `close` alone.
    this.on("error", () => {});
  }
}
const fetchFromFile = async () => fs.readFileSync(tokens, "utf8");
const names = ["WebSocket", "location", "localStorage", "setTimeout", "fetchFromFile"];
const values = [BrowserSocket, { search: query }, {}, fasterTimeout, fetchFromFile];
new Function(...names, page)(...values);
