// The types of what the suite takes and answers, from its OpenAPI documents. `--check` only compares.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { compile } from "json-schema-to-typescript";

const NAMES = ["api", "monitoring"];
const BANNER = "/* Written by `make openapi` from docs/openapi. */";
const STYLE = { printWidth: 120 };

/** Pydantic gives each property a title, and each title would become a type. */
function untitled(schema) {
  if (Array.isArray(schema)) return schema.map(untitled);
  if (typeof schema !== "object" || schema === null) return schema;
  const kept = Object.entries(schema).filter(([name, value]) => name !== "title" || typeof value !== "string");
  return Object.fromEntries(kept.map(([name, value]) => [name, untitled(value)]));
}

async function typesOf(name) {
  const document = new URL(`../docs/openapi/${name}.json`, import.meta.url);
  const { components } = untitled(JSON.parse(await readFile(document, "utf8")));
  const properties = Object.keys(components.schemas).map((each) => [each, { $ref: `#/components/schemas/${each}` }]);
  const root = { type: "object", components, properties: Object.fromEntries(properties) };
  const options = { additionalProperties: false, ignoreMinAndMaxItems: true, bannerComment: BANNER, style: STYLE };
  const found = await compile(root, "Root", options);
  return found.replace(/export interface Root \{[^]*?\n\}\n/, "");
}

const stale = [];
await mkdir(new URL("src/openapi/", import.meta.url), { recursive: true });
for (const name of NAMES) {
  const file = new URL(`src/openapi/${name}.ts`, import.meta.url);
  const [wanted, there] = [await typesOf(name), await readFile(file, "utf8").catch(() => "")];
  if (wanted === there) continue;
  if (process.argv.includes("--check")) stale.push(file.pathname);
  else await writeFile(file, wanted);
}
if (stale.length > 0) {
  console.error(`not what docs/openapi says, \`make openapi\` writes them: ${stale.join(", ")}`);
  process.exit(1);
}
