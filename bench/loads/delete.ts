import { setTimeout as sleep } from "node:timers/promises";
import type { GroupName } from "../back-ends.ts";
import type { Group } from "../groups.ts";
import { WrongAnswer, type RunTools } from "../measure/run-cells.ts";
import { keyNames, putKeys } from "./data.ts";
import type { LoadContext, PreparedLoad } from "./load.ts";
import { measureRound } from "./measure.ts";
import { get, WireClient } from "./wire.ts";

/** What others noticed while a long history was deleted. Times are in microseconds. */
export interface DeleteRow {
  readonly group: GroupName;
  readonly versions: number;
  /** Until the DELETE was answered. */
  readonly deleteUs: number;
  /** Of GETs of other keys, from before the DELETE until well after it. */
  readonly p99Us: number;
  readonly maxUs: number;
  /** The longest of such GETs while nothing was deleted, just before. */
  readonly maxBeforeUs: number;
}

/** Few enough to leave the machine time for both. */
const CONNECTIONS = 4;
const SECONDS = 4;
const DELETE_AFTER_MS = 500;
const OTHER_KEYS = 100;

/** Deletes a key with a long history while others are read. */
export async function measureDelete(
  group: Group,
  key: string,
  tools: RunTools,
): Promise<DeleteRow> {
  const client = new WireClient(group.ours.port, CONNECTIONS);
  const context: LoadContext = {
    contender: group.ours,
    client,
    valueBytes: 100,
    random: Math.random,
  };
  try {
    const load = await othersLoad(context);
    const calm = await readOthers(context, load, tools);
    const reading = readOthers(context, load, tools);
    const deleted = await deleteLater(client, key);
    const busy = await reading;
    await expectGone(client, key);
    return {
      group: group.name,
      ...deleted,
      p99Us: busy.p99Us,
      maxUs: busy.maxUs,
      maxBeforeUs: calm.maxUs,
    };
  } finally {
    client.close();
  }
}

async function othersLoad(context: LoadContext): Promise<PreparedLoad> {
  const keys = keyNames("other", OTHER_KEYS);
  await putKeys(context, keys);
  const requests = keys.map((key) => get(`/${key}`));
  return { script: "pool", requests, written: [], check: async () => {} };
}

async function readOthers(
  context: LoadContext,
  load: PreparedLoad,
  tools: RunTools,
): Promise<{ readonly p99Us: number; readonly maxUs: number }> {
  const options = { connections: CONNECTIONS, seconds: SECONDS, folder: tools.folder };
  const round = await measureRound(context, load, { ...options, seed: tools.nextSeed() });
  if (round.fault !== undefined)
    throw new WrongAnswer(`GET while a key is deleted: ${round.fault}`);
  return round.result;
}

async function deleteLater(
  client: WireClient,
  key: string,
): Promise<{ readonly versions: number; readonly deleteUs: number }> {
  await sleep(DELETE_AFTER_MS);
  const started = performance.now();
  const { body } = await client.sendOk({
    method: "DELETE",
    path: `/${key}`,
    body: "",
    contentType: undefined,
  });
  const { versions } = JSON.parse(body) as { readonly versions: number };
  return { versions, deleteUs: (performance.now() - started) * 1000 };
}

async function expectGone(client: WireClient, key: string): Promise<void> {
  for (const path of [`/${key}`, `/${key}/1`]) {
    const { status } = await client.send(get(path));
    if (status !== 404) throw new WrongAnswer(`${path} was answered ${status} after its DELETE`);
  }
}
