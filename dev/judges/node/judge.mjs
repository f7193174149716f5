// The official JavaScript client as a judge: it takes a step for each line of its input, and prints
// the client's answer as a line of JSON.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";

const require = createRequire(import.meta.url);
const { createClient } = require("@1password/sdk");

/** Active and archived items: without a filter, the core leaves the archived ones out. */
const ALL = { type: "ByState", content: { active: true, archived: true } };

let client;

const steps = {
  about() {
    const core = require.resolve("@1password/sdk-core");
    const of = (main) => JSON.parse(readFileSync(join(dirname(main), "..", "package.json")));
    const sdk = of(require.resolve("@1password/sdk"));
    const { name, version, license } = of(core);
    const wasm = readFileSync(join(dirname(core), "core_bg.wasm"));
    return {
      client: `${sdk.name} ${sdk.version}`,
      core: `${name} ${version} (WebAssembly)`,
      license,
      sha256: createHash("sha256").update(wasm).digest("hex"),
      runtime: `node ${process.versions.node}`,
    };
  },
  async signIn({ token }) {
    client = await createClient({
      auth: token,
      integrationName: "Keyloan judge",
      integrationVersion: "v1.0.0",
    });
    return null;
  },
  vaults: () => client.vaults.list(),
  items: ({ vault }) => client.items.list(vault, ALL),
  item: ({ vault, item }) => client.items.get(vault, item),
  resolve: ({ reference }) => client.secrets.resolve(reference),
  policy: ({ vault, item }) => client.items.shares.getAccountPolicy(vault, item),
  async share({ vault, item, recipient }) {
    const { items } = client;
    const whole = await items.get(vault, item);
    const policy = await items.shares.getAccountPolicy(vault, item);
    const recipients = await items.shares.validateRecipients(policy, [recipient]);
    const terms = { recipients, expireAfter: "OneHour", oneTimeOnly: false };
    return items.shares.create(whole, policy, terms);
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { step, ...parameters } = JSON.parse(line);
  let reply;
  try {
    reply = { answer: (await steps[step](parameters)) ?? null };
  } catch (error) {
    reply = { error: String(error?.message ?? error) };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
