/** The page of the tests in browsers, served on this machine, and how Chromium is started for it. */

import { readFileSync } from "node:fs";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** Flags of a Chromium that may run as root and calls nobody. */
export const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

const document = '<!doctype html><div id="root"></div><script type="module" src="/page.js"></script>';

/** Serves the page, whose script is this file, at a port that is free; what is below `/api/` goes elsewhere. */
export async function serve(script: string, api?: (request: IncomingMessage, response: ServerResponse) => void): Promise<{ server: Server; port: number }> {
  const server = createServer((request, response) => {
    if (api && request.url?.startsWith("/api/")) {
      api(request, response);
      return;
    }
    const isScript = request.url?.startsWith("/page.js");
    response.setHeader("Content-Type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? readFileSync(script) : document);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, port: (server.address() as AddressInfo).port };
}
