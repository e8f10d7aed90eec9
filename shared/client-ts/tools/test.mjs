// Bundles the tests that need nothing but Node, and runs them.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { build } from "esbuild";

const entries = ["client/test", "react/test", "producer/test"].flatMap((folder) =>
  readdirSync(folder).filter((name) => /\.test\.tsx?$/.test(name)).map((name) => `${folder}/${name}`),
);
await build({
  entryPoints: entries,
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  outdir: "build/test",
  outExtension: { ".js": ".mjs" },
  alias: { "@tidings/client": "./client/src/index.ts", "tidings-producer": "./producer/src/index.ts" },
  external: ["react", "react-dom", "@opentelemetry/*"],
  jsx: "automatic",
  sourcemap: "inline",
  logLevel: "warning",
});
const built = readdirSync("build/test", { recursive: true }).filter((name) => String(name).endsWith(".test.mjs"));
const files = built.map((name) => `build/test/${name}`);
const reporter = process.env.CI || process.argv.includes("--dots") ? "dot" : "spec";
const { status } = spawnSync(process.execPath, ["--enable-source-maps", "--test", `--test-reporter=${reporter}`, ...files], { stdio: "inherit" });
process.exitCode = status ?? 1;
