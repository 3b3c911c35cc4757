import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  commit,
  committed,
  hash,
  keyOf,
  put,
  putMany,
  putOne,
  readEntry,
  readOne,
  textOf,
  transaction,
  unique,
} from "../../src/conformance/build.ts";
import type { Key } from "../../src/key.ts";
import type { Change, Condition, Store } from "../../src/store.ts";
import { encodeCommit } from "../../src/stores/redis/commit-codec.ts";
import { COMMIT_SCRIPT } from "../../src/stores/redis/commit-script.ts";
import { encodePuts } from "../../src/stores/redis/put-codec.ts";
import { PUT_SCRIPT } from "../../src/stores/redis/put-script.ts";
import { READ_LATEST_SCRIPT, READ_SCRIPT } from "../../src/stores/redis/scripts.ts";
import { partitionNames } from "../../src/stores/redis/schema.ts";
import { freshUrls } from "../servers/fresh-url.ts";
import { pause, waitUntil } from "../servers/process.ts";
import { startOwnRedis } from "../servers/redis.ts";
import { isSelected } from "../servers/selection.ts";
import { Stopwatch } from "../servers/stopwatch.ts";
import { firstWith, Proxy, type Verdict } from "./lossy-proxy.ts";
import { failsWith, isBackSoon, outageOf, RecordedLog, untilDone } from "./support.ts";
import { openRedis, prefixOf, redisCommand, slowClock, upTo, versionsOf } from "./redis-support.ts";

if (isSelected("redis")) {
  const server = await startOwnRedis({ appendfsync: "always" });
  after(() => server.stop());
  const newUrl = freshUrls(server);

  const losses: readonly { readonly what: string; readonly verdict: Verdict }[] = [
    { what: "whose answer is lost", verdict: "cut-answer" },
    { what: "that is lost on its way", verdict: "cut" },
    { what: "that arrives after its connection was given up", verdict: "cut-and-pass-late" },
    { what: "that vanishes on a connection that says nothing more", verdict: "swallow" },
  ];

  /** Else what is lost first is only the answer that Redis does not know the script. */
  const loadCommitScript = (store: Store, key: Key): Promise<unknown> =>
    commit(store, { reads: [key] });

  const onlyIfThere = (key: Key): readonly Condition[] => [{ kind: "present", key }];
  const scripts = [
    { of: "of puts alone", script: PUT_SCRIPT, conditionsOn: (): readonly Condition[] => [] },
    { of: "with a condition", script: COMMIT_SCRIPT, conditionsOn: onlyIfThere },
  ];

  for (const { of, script, conditionsOn } of scripts) {
    for (const { what, verdict } of losses) {
      test(`a commit ${of} ${what} is applied once, and answered`, async (t) => {
        const proxy = await Proxy.start(t, newUrl());
        const store = await openRedis(t, proxy.url);
        const key = keyOf(unique());
        await putOne(store, key, "first");
        await loadCommitScript(store, key);
        proxy.decide = firstWith(script.sha, verdict);
        const outcome = await commit(store, {
          conditions: conditionsOn(key),
          puts: [put(key, "second")],
        });
        assert.equal(committed(outcome).puts[0]?.version, 2);
        await sleep(verdict === "cut-and-pass-late" ? 500 : 0);
        assert.deepEqual(await versionsOf(store, key), [1, 2]);
        assert.equal((await putOne(store, key, "third")).version, 3);
        assert.equal(textOf(await readEntry(store, key, { version: 2 })), "second");
      });
    }
  }

  test("a batch whose answer is lost is answered item by item as it was decided", async (t) => {
    const proxy = await Proxy.start(t, newUrl());
    const store = await openRedis(t, proxy.url);
    const key = keyOf(unique());
    await putOne(store, key, "old");
    await loadCommitScript(store, key);
    proxy.decide = firstWith(COMMIT_SCRIPT.sha, "cut-answer");
    const [swapped, refused, removed] = await store.commit([
      transaction({
        conditions: [{ kind: "version", key, version: 1 }],
        puts: [put(key, "new")],
        reads: [key],
      }),
      transaction({ conditions: [{ kind: "version", key, version: 1 }], puts: [put(key, "x")] }),
      transaction({ deletes: [key], reads: [key] }),
    ]);
    assert.ok(swapped?.outcome === "committed" && removed?.outcome === "committed");
    assert.equal(swapped.puts[0]?.version, 2);
    assert.equal(textOf(swapped.reads[0]), "old");
    assert.equal(refused?.outcome, "conflict");
    assert.deepEqual(removed.deletes, [{ versions: 2 }]);
    assert.equal(textOf(removed.reads[0]), "new");
  });

  test("a commit whose large reads are lost is not made again, and says so", async (t) => {
    const proxy = await Proxy.start(t, newUrl());
    const store = await openRedis(t, proxy.url);
    const key = keyOf(unique());
    await putOne(store, key, Buffer.alloc(2 * 1024 * 1024, 65));
    await loadCommitScript(store, key);
    proxy.decide = firstWith(COMMIT_SCRIPT.sha, "cut-answer");
    await assert.rejects(
      commit(store, { puts: [put(key, "next")], reads: [key] }),
      failsWith("outcome_unknown", "unknown"),
    );
    assert.deepEqual(await versionsOf(store, key), [1, 2]);
  });

  test("a read whose answer is lost is made again", async (t) => {
    const proxy = await Proxy.start(t, newUrl());
    const store = await openRedis(t, proxy.url, { clock: slowClock });
    const [small, large] = [keyOf(unique()), keyOf(unique())];
    await putOne(store, small, "value");
    await putOne(store, large, "v".repeat(5000));
    proxy.decide = firstWith(READ_LATEST_SCRIPT.sha, "cut-answer");
    assert.equal(textOf(await readEntry(store, small, "latest")), "value");
    proxy.decide = firstWith(READ_SCRIPT.sha, "cut-answer");
    assert.equal(textOf(await readEntry(store, small, { version: 1 })), "value");
    proxy.decide = firstWith("HMGET", "cut-answer");
    assert.equal(textOf(await readEntry(store, large, "latest")), "v".repeat(5000));
  });

  test("a large value that is read while its key is deleted and put again is one of its own", async (t) => {
    const url = newUrl();
    const [reader, writer] = [await openRedis(t, url), await openRedis(t, url)];
    const key = keyOf(unique());
    await putOne(writer, key, "0".repeat(5000));
    let isWriting = true;
    const writing = (async () => {
      for (let i = 1; i <= 100; i += 1) {
        await commit(writer, { deletes: [key] });
        await putOne(writer, key, String(i % 10).repeat(5000));
      }
    })().finally(() => (isWriting = false));
    while (isWriting) {
      for (const select of ["latest", { version: 1 }] as const) {
        const entry = await readOne(reader, key, select);
        if (entry === undefined || entry === "trimmed") continue;
        assert.equal(hash(entry.value ?? ""), entry.digest);
      }
    }
    await writing;
  });

  for (const encode of [encodePuts, encodeCommit]) {
    test(`a copy from ${encode.name} that comes after its writer's next is refused`, async (t) => {
      const url = newUrl();
      const store = await openRedis(t, url);
      const key = keyOf(unique());
      const names = partitionNames(prefixOf(url), 0);
      const send = async (number: number, value: string): Promise<unknown> => {
        const transactions = [transaction({ puts: [put(key, value)] })];
        const call = encode(transactions, names, { writer: "w", number }, Date.now());
        // As text the plan survives only where it is ASCII, so it goes as the store sends it.
        const { createClient } = await import("redis");
        const client = createClient({ url: server.url, RESP: 2 });
        await client.connect();
        try {
          const keys = [String(call.keys.length), ...call.keys];
          return await client.sendCommand(["EVAL", call.script.source, ...keys, ...call.args]);
        } finally {
          client.destroy();
        }
      };
      await send(1, "one");
      await send(2, "two");
      await send(2, "two");
      await assert.rejects(send(1, "one"), /VSSSUPERSEDED/);
      assert.deepEqual(await versionsOf(store, key), [1, 2]);
    });
  }

  test("a paused Redis: calls end by their deadline, and go on when it does", async (t) => {
    const url = newUrl();
    const patient = await openRedis(t, url);
    const store = await openRedis(t, url, { timeoutMs: 2500 });
    const keys = Array.from({ length: 8 }, () => keyOf(unique()));
    for (const key of keys) await putOne(patient, key, "before");
    // What writes is connected then, so that what is written next is on its way.
    await untilDone("a write", () => putOne(store, keyOf(unique()), "before"));
    await pause(server);
    const failures: unknown[] = [];
    try {
      using watch = new Stopwatch();
      const writes = keys.map((key) => putOne(store, key, "during"));
      const reading = readEntry(store, keys[0]!, "latest");
      const settled = await Promise.allSettled([...writes, reading]);
      assert.ok(watch.ms < 5000, `settled after ${watch.ms} ms`);
      for (const one of settled) failures.push(one.status === "rejected" && one.reason);
    } finally {
      server.signal("SIGCONT");
    }
    assert.ok(failsWith("store_unavailable")(failures.pop()));
    const outcomes = failures.map(outageOf);
    assert.ok(outcomes.includes("outcome_unknown"), "some writes were on their way");
    await waitUntil("Redis", async () => (await redisCommand(url, "PING")) === "PONG");
    await isBackSoon(() => putOne(store, keyOf(unique()), "after"));
    for (const [index, key] of keys.entries()) {
      const versions = await untilDone("a read", () => versionsOf(patient, key));
      const most = outcomes[index] === "outcome_unknown" ? 2 : 1;
      assert.ok(versions.length <= most, "an unknown write is there once or not at all");
    }
  });

  test("kill -9 under load loses nothing that was acknowledged, and repeats nothing", async (t) => {
    const log = new RecordedLog();
    const url = newUrl();
    const store = await openRedis(t, url, { timeoutMs: 3000, log });
    const keys = Array.from({ length: 20 }, () => keyOf(unique()));
    const load = new Load(store, keys);
    const seen = new Map<Key, number>();
    const stopFollowing = new AbortController();
    const following = follow(store, stopFollowing.signal, seen);
    for (let round = 0; round < 3; round += 1) {
      await load.untilMore(200);
      server.signal("SIGKILL");
      await server.restart();
      await isBackSoon(() => load.untilMore(20));
    }
    await load.stop();
    const patient = await openRedis(t, url);
    await load.check(patient);
    await waitUntil("the feed", async () => {
      const ends = await Promise.all(keys.map((key) => readEntry(patient, key, "latest")));
      return keys.every((key, i) => seen.get(key) === ends[i]?.version);
    });
    stopFollowing.abort();
    await following;
    const messages = new Set(log.lines.map(({ message }) => message));
    assert.ok(messages.has("Redis is away; reconnecting") && messages.has("Redis is back"));
  });

  test("while Redis is away calls fail at once, with nothing written", async (t) => {
    const own = await startOwnRedis();
    t.after(() => own.stop());
    const [patient, store] = [
      await openRedis(t, own.url),
      await openRedis(t, own.url, { timeoutMs: 2000 }),
    ];
    const [key, probed] = [keyOf(unique()), keyOf(unique())];
    await putOne(patient, key, "before");
    own.signal("SIGKILL");
    // What was sent just before the end may have been written, so that goes to a key of its own.
    await waitUntil("an outage", () =>
      putOne(store, probed, "x").then(
        () => false,
        (error: unknown) => outageOf(error) === "store_unavailable",
      ),
    );
    // One that waits does so for a second, so that all of them would take longer by far.
    using watch = new Stopwatch();
    for (let count = 0; count < 10; count += 1) {
      await assert.rejects(putOne(store, key, "x"), failsWith("store_unavailable"));
      await assert.rejects(readEntry(store, key, "latest"), failsWith("store_unavailable"));
    }
    assert.ok(watch.ms < 10_000, "once it is known to be away, nobody waits");
    await own.restart();
    assert.deepEqual(await untilDone("a read", () => versionsOf(store, key)), [1]);
  });

  test("a follower of a Redis that lost the end of its feed is told that it can't go on", async (t) => {
    const own = await startOwnRedis({ args: ["--appendonly", "no"] });
    t.after(() => own.stop());
    const store = await openRedis(t, own.url);
    const key = keyOf(unique());
    await putMany(store, key, 5);
    await redisCommand(own.url, "SAVE");
    await putMany(store, key, 5);
    const changes = store.changes([""], AbortSignal.timeout(120_000));
    const iterator = changes[Symbol.asyncIterator]();
    const first: Change[] = [];
    while (first.length < 10) {
      const batch = await iterator.next();
      assert.ok(batch.done !== true);
      first.push(...batch.value.changes);
    }
    own.signal("SIGKILL");
    await own.restart();
    // The same numbers now belong to other changes.
    await waitUntil("writes", () =>
      putMany(store, key, 40, "other").then(
        () => true,
        () => false,
      ),
    );
    await assert.rejects(async () => {
      while (!(await iterator.next()).done);
    }, failsWith("cursor_expired"));
  });

  class Load {
    readonly #acknowledged = new Map<string, { readonly key: Key; readonly version: number }>();
    #isOver = false;
    readonly #writers: Promise<unknown>;

    constructor(store: Store, keys: readonly Key[]) {
      this.#writers = Promise.all(keys.map((key) => this.#write(store, key)));
    }

    async #write(store: Store, key: Key): Promise<void> {
      while (!this.#isOver) {
        const value = unique();
        const result = await putOne(store, key, value).catch(() => undefined);
        if (result === undefined) await sleep(20);
        else this.#acknowledged.set(value, { key, version: result.version });
      }
    }

    async untilMore(count: number): Promise<void> {
      const goal = this.#acknowledged.size + count;
      await waitUntil(`${count} writes`, () => this.#acknowledged.size >= goal);
    }

    async stop(): Promise<void> {
      this.#isOver = true;
      await this.#writers;
    }

    async check(store: Store): Promise<void> {
      for (const key of new Set(Array.from(this.#acknowledged.values(), (one) => one.key))) {
        const versions = await versionsOf(store, key);
        assert.deepEqual(versions, upTo(versions.length), "no gap, no repeat");
        const found = await store.read(
          versions.map((version) => ({ key, select: { version }, value: true })),
        );
        const values = found.map(textOf);
        assert.equal(new Set(values).size, values.length, "no value twice");
        for (const [value, one] of this.#acknowledged) {
          if (one.key === key) assert.equal(values[one.version - 1], value);
        }
      }
    }
  }

  /** Follows the feed, and checks that each key's versions come one after the other. */
  async function follow(store: Store, signal: AbortSignal, seen: Map<Key, number>): Promise<void> {
    for await (const { changes } of store.changes([""], signal)) {
      for (const { key, version } of changes) {
        assert.equal(version, (seen.get(key) ?? 0) + 1);
        seen.set(key, version);
      }
    }
  }

  test("a transaction of a batch is whole or not there after a kill in the middle", async (t) => {
    const url = newUrl();
    const store = await openRedis(t, url, { timeoutMs: 1000 });
    const patient = await openRedis(t, url);
    const keys = Array.from({ length: 50 }, () => keyOf(unique()));
    let isOver = false;
    let commits = 0;
    const writer = (async () => {
      while (!isOver) {
        await commit(store, { puts: keys.map((key) => put(key, unique())) })
          .then(committed)
          .then(
            () => (commits += 1),
            () => sleep(10),
          );
      }
    })();
    for (let round = 0; round < 3; round += 1) {
      const soFar = commits;
      await waitUntil("commits", () => commits > soFar + 20);
      server.signal("SIGKILL");
      await server.restart();
      const outcome = await untilDone("a read", () => commit(patient, { reads: keys }));
      const versions = committed(outcome).reads.map((entry) => entry?.version);
      assert.equal(new Set(versions).size, 1);
    }
    isOver = true;
    await writer;
  });
}
