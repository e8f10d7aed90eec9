// Fails if a package is larger than promised, minified and gzipped, without what its users have anyway.
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const limits = [
  { name: "@tidings/client", entry: "client/src/index.ts", external: [], most: 6 * 1024 },
  { name: "@tidings/client/http", entry: "client/src/http.ts", external: [], most: 2.75 * 1024 },
  { name: "@tidings/client with /tabs", entry: "client/src/tabs.ts", external: [], most: 8 * 1024 },
  { name: "@tidings/client/push", entry: "client/src/push.ts", external: [], most: 2 * 1024 },
  { name: "@tidings/client/worker", entry: "client/src/worker.ts", external: [], most: 1024 },
  { name: "@tidings/react", entry: "react/src/index.ts", external: ["react", "@tidings/client"], most: 2 * 1024 },
];

for (const { name, entry, external, most } of limits) {
  const options = { entryPoints: [entry], external, bundle: true, minify: true, format: "esm", target: "es2022", write: false };
  const { outputFiles } = await build(options);
  const size = gzipSync(outputFiles[0].contents, { level: 9 }).length;
  console.log(`${name}: ${size} bytes of at most ${most}`);
  if (size > most) process.exitCode = 1;
}
