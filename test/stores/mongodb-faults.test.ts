import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  commit,
  committed,
  keyOf,
  put,
  putOne,
  readOne,
  requestId,
  textOf,
  transaction,
  unique,
} from "../../src/conformance/build.ts";
import { StateError } from "../../src/errors.ts";
import type { Key } from "../../src/key.ts";
import type { Outcome, Store } from "../../src/store.ts";
import { Proxy } from "../faults/proxy.ts";
import { startMongodb, type MongodbServer } from "../servers/mongodb.ts";
import { pause, waitUntil } from "../servers/process.ts";
import { isSelected } from "../servers/selection.ts";
import { Stopwatch } from "../servers/stopwatch.ts";
import { TestState } from "./mongodb-support.ts";
import { isBackSoon, outageOf, RecordedLog, untilDone } from "./support.ts";

const TOPOLOGIES = [
  { name: "mongodb", replicaSet: false },
  { name: "mongodb-replica-set", replicaSet: true },
] as const;

/** What failed a commit, whether it was one outcome or the whole call. */
async function failureOf(outcomes: Promise<readonly Outcome[]>): Promise<StateError> {
  try {
    const [outcome] = await outcomes;
    assert.equal(outcome?.outcome, "failed", JSON.stringify(outcome));
    return outcome.error;
  } catch (error) {
    if (error instanceof StateError) return error;
    throw error;
  }
}

async function proxyTo(server: MongodbServer): Promise<Proxy> {
  const [, port] = /:(\d+)\//.exec(server.url) ?? [];
  const proxy = await Proxy.start(Number(port));
  after(() => proxy.stop());
  return proxy;
}

async function versionsOf(store: Store, key: Key): Promise<readonly number[]> {
  const history = await store.history(key, { order: "oldest-first", after: 0, limit: Infinity });
  return history.map(({ version }) => version);
}

for (const { name, replicaSet } of TOPOLOGIES) {
  if (!isSelected(name)) continue;
  let server: MongodbServer;
  before(async () => {
    server = await startMongodb({ replicaSet, args: ["--quiet"] });
  });
  after(() => server.stop());

  test(`${name}: a put whose answer was lost is written once`, async () => {
    const state = new TestState(server);
    const proxy = await proxyTo(server);
    const store = await state.open({}, state.through(`127.0.0.1:${proxy.port}`));
    const key = keyOf(unique());
    await putOne(store, key, "value 1");
    const rounds = 5;
    for (let round = 2; round <= rounds; round += 1) {
      proxy.set({ dropsDown: true });
      const outcome = commit(store, { puts: [put(key, `value ${round}`)] });
      const isThere = { k: key, v: round };
      const segments = state.collection("segments");
      await waitUntil("the write", async () => (await segments.countDocuments(isThere)) === 1);
      proxy.cut();
      proxy.set({});
      assert.equal(committed(await outcome).puts[0]?.version, round);
    }
    assert.deepEqual(await versionsOf(store, key), [1, 2, 3, 4, 5]);
    assert.equal(textOf(await readOne(store, key, { version: 3 })), "value 3");
  });

  test(`${name}: a put that never arrived is written once all the same`, async () => {
    const state = new TestState(server);
    const proxy = await proxyTo(server);
    const store = await state.open({}, state.through(`127.0.0.1:${proxy.port}`));
    const key = keyOf(unique());
    for (let round = 1; round <= 5; round += 1) {
      const outcome = commit(store, { puts: [put(key, `value ${round}`)] });
      proxy.cut();
      assert.equal(committed(await outcome).puts[0]?.version, round);
    }
    assert.deepEqual(await versionsOf(store, key), [1, 2, 3, 4, 5]);
  });

  test(`${name}: a server that is paused is answered by the deadline, and serves on`, async () => {
    const state = new TestState(server);
    const log = new RecordedLog();
    const timeoutMs = 2000;
    const patient = await state.open();
    const store = await state.open({ timeoutMs, log });
    const key = keyOf(unique());
    await putOne(patient, key, "before");
    const request = requestId();
    const parts = { request, puts: [put(key, "meanwhile")] };
    await pause(server);
    using watch = new Stopwatch();
    let tookMs = Infinity;
    try {
      const [failure] = await Promise.all([
        failureOf(store.commit([transaction(parts)])),
        assert.rejects(readOne(store, key, "latest"), isUnavailable),
        assert.rejects(store.keys({ from: "", to: undefined, limit: 1 }), isUnavailable),
        assert.rejects(store.ping(), isUnavailable),
      ]);
      tookMs = watch.ms;
      outageOf(failure);
    } finally {
      server.signal("SIGCONT");
    }
    assert.ok(tookMs < 2 * timeoutMs, `settled after ${tookMs} ms`);
    assert.ok(log.lines.some(({ level }) => level === "error"));
    await server.primary();
    await isBackSoon(() => store.ping());
    const outcome = committed(await untilDone("a write", () => commit(patient, parts)));
    assert.equal(outcome.puts[0]?.version, 2, "once, whenever that was");
    assert.deepEqual(await versionsOf(patient, key), [1, 2]);
  });

  test(`${name}: a server that is killed loses nothing that was acknowledged`, async () => {
    const state = new TestState(server);
    const store = await state.open({ timeoutMs: 3000 });
    const keys = Array.from({ length: 8 }, () => keyOf(unique()));
    const acknowledged = new Map<Key, Set<number>>(keys.map((key) => [key, new Set()]));
    const kinds = new Set<string>();
    let isOver = false;
    const writers = keys.map(async (key) => {
      for (let i = 0; !isOver; i += 1) {
        const outcome = await commit(store, { puts: [put(key, `${key} ${i}`)] }).catch(String);
        if (typeof outcome === "string") continue;
        kinds.add(outcome.outcome);
        if (outcome.outcome !== "committed") continue;
        acknowledged.get(key)?.add(outcome.puts[0]?.version ?? 0);
      }
    });
    const count = (): number => [...acknowledged.values()].reduce((sum, one) => sum + one.size, 0);
    try {
      await waitUntil("a hundred puts", () => count() > 100);
      for (const member of server.members) await member.kill();
      await server.restart();
      const soFar = count();
      await waitUntil("more puts", () => count() > soFar + 100);
    } finally {
      isOver = true;
      await Promise.all(writers);
    }
    const patient = await state.open();
    for (const [key, versions] of acknowledged) {
      const found = await versionsOf(patient, key);
      assert.deepEqual(
        found,
        found.map((_, i) => i + 1),
        "no gap, no repeat",
      );
      for (const version of versions) assert.ok(version <= found.length, `${version} is there`);
      const queries = found.map((version) => ({ key, select: { version }, value: true }));
      const values = (await patient.read(queries)).map(textOf);
      assert.equal(new Set(values).size, found.length, "every value once");
    }
  });
}

function isUnavailable(error: unknown): boolean {
  assert.ok(error instanceof StateError, String(error));
  assert.deepEqual([error.code, error.applied], ["store_unavailable", "no"]);
  return true;
}
