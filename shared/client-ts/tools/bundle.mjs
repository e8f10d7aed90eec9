// Bundles the programs and pages of the tests against real processes: `node tools/bundle.mjs <folder>`.
import { readFileSync } from "node:fs";
import { build } from "esbuild";

const [outdir = "build/e2e"] = process.argv.slice(2);
// The uploads document's module is what `tidings types` writes.
const producer = {
  "tidings-producer/nats": "./producer/src/nats.ts",
  "tidings-producer": "./producer/src/index.ts",
  "@/lib/websocket": "./producer/test/generated/uploads.ts",
};
const shared = {
  bundle: true,
  format: "esm",
  outdir,
  alias: { "@tidings/client/tabs": "./client/src/tabs.ts", "@tidings/client/http": "./client/src/http.ts", "@tidings/client": "./client/src/index.ts", "@tidings/react": "./react/src/index.ts", ...producer },
  jsx: "automatic",
  logLevel: "warning",
};
const node = { ...shared, platform: "node", target: "node20", outExtension: { ".js": ".mjs" } };
const external = ["ws", "playwright-core", "@nats-io/transport-node", "@nats-io/jetstream"];
await build({ ...node, entryPoints: ["e2e/listen.ts", "e2e/browser.ts", "e2e/examples.ts", "e2e/firefox.ts", "e2e/killed.ts", "e2e/publish.ts", "e2e/durable.ts"], external });
// The first program of the producer's document, beside the module that it tells its reader to write.
const [, marked] = readFileSync("producer/README.md", "utf8").split("<!-- ts: run by a test -->");
const contents = marked.split("```ts\n")[1].split("```")[0];
await build({ ...node, stdin: { contents, resolveDir: "producer/test/generated", sourcefile: "start.ts", loader: "ts" }, outfile: `${outdir}/start.mjs`, outdir: undefined });
await build({ ...shared, entryPoints: ["e2e/page.tsx"], platform: "browser", define: { "process.env.NODE_ENV": '"development"' } });

// What `tidings dev` serves; committed, so that nobody needs Node to see it.
await build({
  ...shared,
  entryPoints: { examples: "examples/main.tsx" },
  platform: "browser",
  target: "es2022",
  minify: true,
  legalComments: "inline",
  define: { "process.env.NODE_ENV": '"production"' },
});
