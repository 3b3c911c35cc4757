import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Document } from "mongodb";
import {
  commit,
  deleteOne,
  keyOf,
  put,
  putKeys,
  putMany,
  putOne,
  readEntry,
  requestId,
  unique,
} from "../../src/conformance/build.ts";
import type { Key } from "../../src/key.ts";
import { STRETCH } from "../../src/stores/mongodb/segment-map.ts";
import { startMongodb } from "../servers/mongodb.ts";
import { isSelected } from "../servers/selection.ts";
import { TestState } from "./mongodb-support.ts";

/** Versions of the key with a long history; some came in batches and some alone. */
const VERSIONS = 12_000;
const KEYS = 3000;

const longKey: Key = keyOf(`m-${unique()}`);

interface Cost {
  readonly keys: number;
  readonly documents: number;
}

/** What MongoDB looked at: the most of any one command. */
function costOf(commands: readonly Document[]): Cost {
  assert.ok(commands.length > 0, "the profiler saw the commands");
  const most = (field: string): number =>
    Math.max(...commands.map((command) => Number(command[field] ?? 0)));
  return { keys: most("keysExamined"), documents: most("docsExamined") };
}

if (isSelected("mongodb")) {
  const server = await startMongodb({ args: ["--quiet"] });
  after(() => server.stop());
  const state = new TestState(server);
  const store = await state.open();
  const keys = Array.from({ length: KEYS }, (_, i) => keyOf(`k-${String(i).padStart(6, "0")}`));
  await putKeys(store, keys);
  await putMany(store, longKey, VERSIONS);
  for (let i = 0; i < 40; i += 1) await putOne(store, longKey, `alone ${i}`);
  for (const key of keys.slice(0, 50)) await deleteOne(store, key);
  await store.maintain({ feedRetentionMs: 3_600_000 });
  const deletedKey = keyOf(`m-${unique()}-deleted`);
  await putMany(store, deletedKey, VERSIONS / 4);
  const examined = async (run: () => Promise<unknown>): Promise<Cost> =>
    costOf(await state.profile(run));

  test("reading the latest of a key costs the same however long its history is", async () => {
    const fresh = await state.open();
    const cost = await examined(() => readEntry(fresh, longKey, "latest"));
    assert.deepEqual([cost.keys <= 2, cost.documents], [true, 1], JSON.stringify(cost));
  });

  test("reading the latest of many keys looks at each once", async () => {
    const queries = [...keys.slice(100, 200), longKey].map(
      (key) => ({ key, select: "latest", value: true }) as const,
    );
    const fresh = await state.open();
    const cost = await examined(() => fresh.read(queries));
    assert.ok(cost.keys <= 2 * queries.length + 2, JSON.stringify(cost));
    assert.equal(cost.documents, queries.length);
    const again = await examined(() => fresh.read(queries));
    assert.ok(again.keys <= 2 * queries.length + 2, JSON.stringify(again));
    assert.equal(again.documents, 0, "the index alone tells that nothing has changed");
  });

  test("reading a version by number costs the same in the middle as at either end", async () => {
    for (const version of [1, VERSIONS / 2, VERSIONS, VERSIONS + 20]) {
      const first = await examined(() => readEntry(store, longKey, { version }));
      const isBounded = first.keys <= STRETCH && first.documents <= 4;
      assert.ok(isBounded, `${version}, with the places beside it: ${JSON.stringify(first)}`);
      const beside = version === 1 ? 2 : version - 1;
      const cost = await examined(() => readEntry(store, longKey, { version: beside }));
      assert.ok(cost.keys <= 4 && cost.documents <= 4, `${beside}: ${JSON.stringify(cost)}`);
      const again = await examined(() => readEntry(store, longKey, { version }));
      assert.ok(again.keys <= 2 && again.documents <= 1, `${version}: ${JSON.stringify(again)}`);
    }
  });

  test("reading as of a time looks at a few places of a long history", async () => {
    const { createdAt } = await readEntry(store, longKey, { version: VERSIONS / 3 });
    const cost = await examined(() => readEntry(store, longKey, { asOf: createdAt }));
    assert.ok(cost.keys <= 600 && cost.documents <= 600, JSON.stringify(cost));
  });

  test("a put costs the same at a long history as at a new key", async () => {
    const cost = await examined(() => putOne(store, longKey, "one more"));
    assert.ok(cost.keys <= 2 && cost.documents <= 1, JSON.stringify(cost));
  });

  test("a page of keys costs the page, past deleted keys and long histories", async () => {
    for (const from of ["", "k-001000", "m"]) {
      const cost = await examined(() => store.keys({ from, to: undefined, limit: 20 }));
      assert.ok(cost.keys <= 70 && cost.documents <= 31, `${from}: ${JSON.stringify(cost)}`);
    }
  });

  test("a page of a history costs the page", async () => {
    const cost = await examined(() =>
      store.history(longKey, { order: "newest-first", before: VERSIONS / 2, limit: 20 }),
    );
    assert.ok(cost.keys <= 25 && cost.documents <= 25, JSON.stringify(cost));
  });

  test("a step of housekeeping looks at nothing but what there is to clear", async () => {
    const cost = await examined(() => store.maintain({ feedRetentionMs: 3_600_000 }));
    assert.ok(cost.keys <= 60 && cost.documents <= 60, JSON.stringify(cost));
  });

  test("looking up request ids costs the same in a large store", async () => {
    const request = requestId();
    const parts = { request, puts: [put(keyOf(unique()), "value")] };
    const cost = await examined(async () => {
      await commit(store, parts);
      await commit(store, parts);
    });
    assert.ok(cost.keys <= 3 && cost.documents <= 2, JSON.stringify(cost));
  });

  test("deleting a long history costs the same as deleting a short one", async () => {
    const cost = await examined(() => deleteOne(store, deletedKey));
    assert.ok(cost.keys <= 2 && cost.documents <= 1, JSON.stringify(cost));
  });
}
