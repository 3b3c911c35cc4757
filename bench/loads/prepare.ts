import { KEYS, keyNames, makeHistory, putKeys } from "./data.ts";
import type { LoadContext, LoadName, PreparedLoad, PrepareLoad } from "./load.ts";
import { get, type WireClient, type WireRequest } from "./wire.ts";
import { valueOf } from "./values.ts";

const LIST_LIMIT = 100;

/** Fewer keys where values are large, so that what is sent fits the load generator's memory. */
function keyCount(valueBytes: number): number {
  return valueBytes > 10_000 ? KEYS / 5 : KEYS;
}

export const PREPARE: Readonly<Record<LoadName, PrepareLoad>> = {
  get: async (context) => {
    const keys = await existingKeys(context, "get");
    return reading(
      context,
      keys,
      keys.map((key) => context.contender.surface.get(key)),
    );
  },
  put: async (context) => writing(context, await existingKeys(context, "put")),
  hot: async (context) => {
    const keys = [`hot-${context.valueBytes}`];
    await putKeys(context, keys);
    return writing(context, keys);
  },
  mix: async (context) => {
    const { surface } = context.contender;
    const keys = await existingKeys(context, "mix");
    const puts = keys.map((key) => surface.put(key, valueOf(key, context.valueBytes)));
    const gets = keys.map((key) => surface.get(key));
    const nineGets = Array.from({ length: 9 }, () => gets).flat();
    return reading(context, keys, [...puts, ...nineGets]);
  },
  version: prepareVersion,
  cas: prepareCas,
  list: prepareList,
};

async function existingKeys(context: LoadContext, name: string): Promise<readonly string[]> {
  const keys = keyNames(`${name}-${context.valueBytes}`, keyCount(context.valueBytes));
  await putKeys(context, keys);
  return keys;
}

function reading(
  context: LoadContext,
  keys: readonly string[],
  requests: readonly WireRequest[],
): PreparedLoad {
  return {
    script: "pool",
    requests,
    written: [],
    check: (client) => checkLatest(context, keys, client),
  };
}

function writing(context: LoadContext, keys: readonly string[]): PreparedLoad {
  const { surface } = context.contender;
  return {
    script: "pool",
    requests: keys.map((key) => surface.put(key, valueOf(key, context.valueBytes))),
    written: keys,
    check: (client) => checkLatest(context, keys, client),
  };
}

async function checkLatest(
  context: LoadContext,
  keys: readonly string[],
  client: WireClient,
): Promise<void> {
  const key = pick(keys, context.random);
  const answer = await client.sendOk(context.contender.surface.get(key));
  expectValue(context, answer.body, { of: `GET ${key}`, value: valueOf(key, context.valueBytes) });
}

async function prepareVersion(context: LoadContext): Promise<PreparedLoad | undefined> {
  const { getVersion } = context.contender.surface;
  if (getVersion === undefined) return undefined;
  const key = `history-${context.valueBytes}`;
  const versions = await makeHistory(context, key, keyCount(context.valueBytes));
  const requests = versions.map(({ version }) => getVersion(key, version));
  const check = async (client: WireClient): Promise<void> => {
    const { version, value } = pick(versions, context.random);
    const answer = await client.sendOk(getVersion(key, version));
    expectValue(context, answer.body, { of: `GET ${key}/${version}`, value });
  };
  return { script: "pool", requests, written: [], check };
}

/** The script keeps the versions itself; each answer is checked there. */
async function prepareCas(context: LoadContext): Promise<PreparedLoad | undefined> {
  if (!context.contender.surface.isOurs) return undefined;
  return { script: "cas", requests: [], written: [], check: async () => {} };
}

async function prepareList(context: LoadContext): Promise<PreparedLoad | undefined> {
  const { surface } = context.contender;
  if (!surface.isOurs) return undefined;
  const keys = keyNames("list", KEYS);
  await putKeys({ ...context, valueBytes: 100 }, keys);
  const first = `/-/keys?prefix=list-&limit=${LIST_LIMIT}`;
  const pages = [first];
  for (let page = LIST_LIMIT; !surface.isCanned && page < KEYS; page += LIST_LIMIT) {
    const { body } = await context.client.sendOk(get(pages.at(-1) ?? first));
    const { next } = JSON.parse(body) as { readonly next: string };
    pages.push(`${first}&after=${encodeURIComponent(next)}`);
  }
  const sorted = keys.toSorted();
  const check = async (client: WireClient): Promise<void> => {
    const page = Math.floor(context.random() * pages.length);
    const { body } = await client.sendOk(get(pages[page] ?? first));
    const listed = (JSON.parse(body) as { readonly keys: { readonly key: string }[] }).keys;
    const expected = sorted.slice(page * LIST_LIMIT, (page + 1) * LIST_LIMIT);
    if (!surface.isCanned && listed.map(({ key }) => key).join() !== expected.join()) {
      throw new Error(`page ${page} of the list does not hold the keys that it should`);
    }
  };
  return { script: "pool", requests: pages.map((page) => get(page)), written: [], check };
}

function expectValue(
  { contender }: LoadContext,
  body: string,
  expected: { readonly of: string; readonly value: string },
): void {
  if (contender.surface.isCanned) return;
  if (contender.surface.readValue(body) !== expected.value) {
    throw new Error(`${expected.of} answered another value than was put: ${body.slice(0, 200)}`);
  }
}

function pick<T>(items: readonly T[], random: () => number): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error("there is nothing to pick from");
  return item;
}
