// Checks descriptions: `node lint.mjs <folder with node_modules> <openapi.json> <asyncapi.json>…`. Prints what is wrong.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const [folder, openapi, ...asyncapis] = process.argv.slice(2);
const require = createRequire(`${resolve(folder)}/`);
const { createConfig, lintFromString } = require("@redocly/openapi-core");
const { Parser } = require("@asyncapi/parser");

let problems = 0;
const report = (file, text) => {
  problems += 1;
  console.log(`${file}: ${text}`);
};

const rules = { "operation-4xx-response": "error" };
const config = await createConfig({ extends: ["recommended"], rules });
// A handshake is answered with 101.
const isExpected = (ruleId, pointer) => ruleId === "operation-2xx-response" && pointer.includes("~1api~1ws/");
for (const { severity, ruleId, message, location } of await lintFromString({ source: readFileSync(openapi, "utf8"), config })) {
  const pointer = location[0]?.pointer ?? "";
  if (!isExpected(ruleId, pointer)) report(openapi, `${severity} ${ruleId}: ${message} at ${pointer}`);
}
for (const file of asyncapis) {
  const { diagnostics } = await new Parser().parse(readFileSync(file, "utf8"));
  for (const { code, message, path, severity } of diagnostics) {
    // Hints, such as that there is a newer version of AsyncAPI, are no errors.
    if (severity <= 1) report(file, `${code}: ${message} at ${path.join("/")}`);
  }
}
process.exit(problems === 0 ? 0 : 1);
