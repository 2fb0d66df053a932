#!/usr/bin/env node
// npm's solc behind the two switches of the native compiler that forge and Brownie use:
// neither can download a compiler of its own from the package registries.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
const solc = createRequire(import.meta.url)("solc");
const args = process.argv.slice(2);
const read = (path) => {
  try { return { contents: readFileSync(resolve(process.env.SOLC_BASE ?? ".", path), "utf8") }; }
  catch (error) { return { error: error.message }; }
};
if (args.includes("--version")) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
} else if (args.includes("--standard-json")) {
  const output = solc.compile(readFileSync(0, "utf8"), { import: read });
  process.stdout.write(output + "\n");
} else {
  console.error("solc.mjs answers --version and --standard-json only");
  process.exitCode = 2;
}
