// Bundles the programs and pages of the tests against real processes: `node tools/bundle.mjs <folder>`.
import { build } from "esbuild";

const [outdir = "build/e2e"] = process.argv.slice(2);
const shared = {
  bundle: true,
  format: "esm",
  outdir,
  alias: { "@tidings/client/tabs": "./client/src/tabs.ts", "@tidings/client": "./client/src/index.ts", "@tidings/react": "./react/src/index.ts" },
  jsx: "automatic",
  logLevel: "warning",
};
await build({
  ...shared,
  entryPoints: ["e2e/listen.ts", "e2e/browser.ts", "e2e/examples.ts", "e2e/firefox.ts"],
  platform: "node",
  target: "node20",
  outExtension: { ".js": ".mjs" },
  external: ["ws", "playwright-core"],
});
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
