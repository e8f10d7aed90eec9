// Whether the packages are what bundlers and compilers of their users understand.
import { spawnSync } from "node:child_process";

const run = (...command) => {
  const [program, ...rest] = command;
  const { status, stdout, stderr } = spawnSync(program, rest, { encoding: "utf8" });
  if (status === 0) return;
  console.error(`${command.join(" ")}\n${stdout}${stderr}`);
  process.exitCode = 1;
};

for (const folder of ["client", "react", "producer"]) {
  run("node_modules/.bin/publint", "--strict", folder);
  run("node_modules/.bin/attw", "--pack", folder, "--profile", "esm-only", "--no-color");
}
