import assert from "node:assert/strict";
import { after, test } from "node:test";
import { at, keyOf, put, transaction } from "../../src/conformance/build.ts";
import type { Change, EntryInfo, Store, Transaction } from "../../src/store.ts";
import { areAllPuts } from "../../src/stores/redis/put-codec.ts";
import { systemClock } from "../../src/telemetry/clock.ts";
import { freshUrls } from "../servers/fresh-url.ts";
import { startRedis } from "../servers/redis.ts";
import { isSelected } from "../servers/selection.ts";
import { openRedis } from "./redis-support.ts";

const KEYS = ["a", "b", "ü", "c".repeat(300)].map(keyOf);
const START = 1_700_000_000_000;
/** The clock of each batch: forwards, backwards and forwards again. */
const TIMES = [0, 5, 3, 3, 20].map((ms) => START + ms);

if (isSelected("redis")) {
  const server = await startRedis();
  after(() => server.stop());
  const newUrl = freshUrls(server);

  test("the two scripts that commit make the same of the same puts", async (t) => {
    let now = START;
    const clock = { ...systemClock, now: () => now };
    const ours = await openRedis(t, newUrl(), { clock });
    const reference = await openRedis(t, newUrl(), { clock });
    for (const time of TIMES) {
      now = time;
      const puts = batch(time);
      assert.ok(areAllPuts(puts));
      // A read beside them is what the put script does not do.
      const [, ...expected] = await reference.commit([transaction({ reads: KEYS }), ...puts]);
      assert.deepEqual(await ours.commit(puts), expected);
      if (time === TIMES[1]) await deleteEverywhere([ours, reference]);
    }
    assert.deepEqual(await everythingIn(ours), await everythingIn(reference));
  });
}

/** Puts to some keys, to several of them more than once and with others in between. */
function batch(time: number): readonly Transaction[] {
  return Array.from({ length: 40 }, (_, i) =>
    transaction({
      incarnation: `life-${time}-${i}`,
      puts: [
        put(at(KEYS, (i * i) % (time === START ? 2 : KEYS.length)), `${time}-${i}`.repeat(i % 3), {
          contentType: i % 2 === 0 ? "text/plain" : undefined,
          message: i % 5 === 0 ? "why" : undefined,
        }),
      ],
    }),
  );
}

async function deleteEverywhere(stores: readonly Store[]): Promise<void> {
  for (const store of stores) await store.commit([transaction({ deletes: KEYS.slice(0, 1) })]);
}

interface Everything {
  readonly keys: readonly EntryInfo[];
  readonly histories: readonly (readonly EntryInfo[])[];
  readonly changes: readonly Change[];
}

async function everythingIn(store: Store): Promise<Everything> {
  const changes: Change[] = [];
  const stop = new AbortController();
  for await (const { changes: more, caughtUp } of store.changes([""], stop.signal)) {
    changes.push(...more);
    if (caughtUp) stop.abort();
  }
  const history = (key: (typeof KEYS)[number]): Promise<readonly EntryInfo[]> =>
    store.history(key, { order: "oldest-first", after: 0, limit: 1000 });
  return {
    keys: await store.keys({ from: "", to: undefined, limit: 100 }),
    histories: await Promise.all(KEYS.map(history)),
    changes,
  };
}
