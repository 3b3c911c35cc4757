import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import {
  assertBytes,
  committed,
  keyOf,
  put,
  putOne,
  readEntry,
  readOne,
  transaction,
  unique,
} from "../../src/conformance/build.ts";
import { VALUE_BYTES_CEILING } from "../../src/limits.ts";
import { freshUrls } from "../servers/fresh-url.ts";
import { startMariadb } from "../servers/mariadb.ts";
import { isSelected } from "../servers/selection.ts";
import { openMysql } from "./mysql-support.ts";
import { failsWith, RecordedLog } from "./support.ts";

if (isSelected("mariadb")) {
  test("a server of default packets takes a batch of the largest values, each whole", async (t) => {
    const server = await startMariadb();
    t.after(() => server.stop());
    const store = await openMysql(t, freshUrls(server)());
    const values = [
      0,
      1,
      127 * 1024,
      128 * 1024 + 1,
      1024 * 1024,
      5_000_000,
      VALUE_BYTES_CEILING,
    ].map((size) => randomBytes(size));
    const keys = values.map(() => keyOf(unique()));
    for (let round = 1; round <= 2; round += 1) {
      const outcomes = await store.commit(
        keys.map((key, i) => transaction({ puts: [put(key, values[i] ?? "")] })),
      );
      for (const outcome of outcomes) assert.equal(committed(outcome).puts[0]?.version, round);
    }
    for (const [i, key] of keys.entries()) {
      for (const select of ["latest", { version: 1 }] as const) {
        const { value } = await readEntry(store, key, select);
        assertBytes(value, values[i] ?? Buffer.alloc(0), `value ${i}`);
      }
    }
  });

  test("a server of small packets refuses what does not fit, and says so at the start", async (t) => {
    const server = await startMariadb({ args: ["--max-allowed-packet=4M"] });
    t.after(() => server.stop());
    const log = new RecordedLog();
    const store = await openMysql(t, freshUrls(server)(), { log });
    assert.ok(
      log.lines.some(({ message }) => /Values above 4177920 bytes are refused/.test(message)),
    );
    const [small, large, largest] = [keyOf(unique()), keyOf(unique()), keyOf(unique())];
    const outcomes = await store.commit([
      transaction({ puts: [put(small, "fits")] }),
      transaction({ puts: [put(large, randomBytes(4_177_921))] }),
      transaction({ puts: [put(largest, randomBytes(4_177_920))] }),
    ]);
    assert.deepEqual(
      outcomes.map(({ outcome }) => outcome),
      ["committed", "failed", "committed"],
    );
    const failed = outcomes[1];
    assert.ok(failed?.outcome === "failed" && failsWith("value_too_large")(failed.error));
    assert.equal(await readOne(store, large), undefined);
    assert.equal((await readEntry(store, largest)).size, 4_177_920);
    // Many values that fit one by one are sent in several packets.
    const keys = Array.from({ length: 60 }, () => keyOf(unique()));
    const batch = keys.map((key) => transaction({ puts: [put(key, randomBytes(100_000))] }));
    for (const outcome of await store.commit(batch)) committed(outcome);
    // Of control characters the feed's JSON makes six each, and a literal of it twice as many.
    const long = Array.from({ length: 512 }, (_, i) => [`\u0001${i}`, `\u0002${i}`]);
    const longest = long.map((pair) =>
      transaction({ puts: pair.map((end) => put(keyOf(end.padStart(510, "\u0001")), "v")) }),
    );
    for (const outcome of await store.commit(longest)) committed(outcome);
  });

  test("a server of tiny packets is refused with what to set", async (t) => {
    const server = await startMariadb({ args: ["--max-allowed-packet=1M"] });
    t.after(() => server.stop());
    await assert.rejects(openMysql(t, server.url), (error: unknown) => {
      assert.match(String(error), /max_allowed_packet is 1048576 bytes.*16M/);
      return failsWith("store_incompatible")(error);
    });
  });

  test("a full database is named, keeps all that was acknowledged, and still answers reads", async (t) => {
    const server = await startMariadb({
      args: ["--innodb-file-per-table=0", "--innodb-data-file-path=ibdata1:12M:autoextend:max:40M"],
    });
    t.after(() => server.stop());
    const log = new RecordedLog();
    const store = await openMysql(t, freshUrls(server)(), { log });
    const key = keyOf(unique());
    const value = randomBytes(200_000);
    let acknowledged = 0;
    const fill = async (): Promise<void> => {
      for (;;) {
        assert.equal((await putOne(store, key, value)).version, acknowledged + 1);
        acknowledged += 1;
      }
    };
    await assert.rejects(fill(), failsWith("store_full"));
    assert.ok(acknowledged > 10);
    await assert.rejects(putOne(store, key, value), failsWith("store_full"));
    const errors = log.lines.filter(({ level }) => level === "error");
    assert.equal(errors.length, 1, "said once");
    assert.match(String(errors[0]?.message), /no space left/);
    const page = { order: "oldest-first", after: 0, limit: 1_000 } as const;
    const history = await store.history(key, page);
    assert.deepEqual(
      history.map(({ version }) => version),
      Array.from({ length: acknowledged }, (_, i) => i + 1),
    );
    const entry = await readEntry(store, key, { version: acknowledged });
    assertBytes(entry.value, value, "the last one that was acknowledged");
  });
}
