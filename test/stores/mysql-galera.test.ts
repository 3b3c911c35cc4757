import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  at,
  commit,
  committed,
  keyOf,
  put,
  putOne,
  readEntry,
  textOf,
  unique,
} from "../../src/conformance/build.ts";
import type { Key } from "../../src/key.ts";
import type { Outcome, Store } from "../../src/store.ts";
import { startGalera } from "../servers/galera.ts";
import { isSelected } from "../servers/selection.ts";
import { openMysql } from "./mysql-support.ts";
import { failsWith } from "./support.ts";

/** How long two nodes write to one key; some 450 puts a second. */
const RIVALRY_MS = 6_000;

if (isSelected("mariadb")) {
  const cluster = await startGalera();
  after(() => cluster.stop());

  test("puts of one key through two nodes of a Galera cluster each keep their version", async (t) => {
    const stores = await openNodes(t);
    const key = keyOf(unique());
    const values = new Map<number, string>();
    await putOne(stores[0], key, "first");
    const until = performance.now() + RIVALRY_MS;
    const rivals = stores.map(async (store) => {
      while (performance.now() < until) {
        const value = unique();
        const version = await putUnlessBusy(store, key, value);
        if (version === undefined) continue;
        assert.ok(!values.has(version), `version ${version} was given twice`);
        values.set(version, value);
      }
    });
    await Promise.all(rivals);
    assert.ok(values.size > 100, `${values.size} puts`);
    for (const [version, value] of values) {
      assert.equal(textOf(await readEntry(stores[1], key, { version })), value);
    }
  });

  test("of two transactions on two nodes that each write what the other relies on, one is refused", async (t) => {
    const [one, two] = await openNodes(t);
    for (let round = 0; round < 20; round += 1) {
      const [a, b] = [keyOf(unique()), keyOf(unique())];
      await putOne(one, a, "1");
      await putOne(two, b, "1");
      const copy = (store: Store, from: Key, to: Key): Promise<Outcome> =>
        commit(store, {
          conditions: [{ kind: "version", key: from, version: 1 }],
          puts: [put(to, "2")],
        });
      const outcomes = await Promise.all([copy(one, a, b), copy(two, b, a)]);
      assert.deepEqual(outcomes.map(({ outcome }) => outcome).toSorted(), [
        "committed",
        "conflict",
      ]);
      committed(at(outcomes, outcomes[0]?.outcome === "committed" ? 0 : 1));
    }
  });

  const openNodes = async (
    t: Parameters<typeof openMysql>[0],
  ): Promise<readonly [Store, Store]> => {
    const [first, second] = cluster.nodes;
    return [await openMysql(t, first?.url ?? ""), await openMysql(t, second?.url ?? "")];
  };
}

/** Answers the version; of a node whose rival is faster again and again, undefined. */
async function putUnlessBusy(store: Store, key: Key, value: string): Promise<number | undefined> {
  try {
    return (await putOne(store, key, value)).version;
  } catch (error) {
    failsWith("store_unavailable")(error);
    return undefined;
  }
}
