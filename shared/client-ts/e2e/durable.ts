/** Reads a user's messages with the client of Durable Streams, and prints them one a line. */

import { writeSync } from "node:fs";

import { stream } from "@durable-streams/client";

const { GATEWAY: url = "", TOKEN: token = "" } = process.env;

const messages = await stream({ url, offset: "-1", live: true, headers: { authorization: "Bearer " + token } });
messages.subscribeJson(({ items }) => {
  for (const item of items) writeSync(1, JSON.stringify(item) + "\n");
  return Promise.resolve();
});
