import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  commit,
  keyOf,
  put,
  putOne,
  readOne,
  requestId,
  textOf,
  unique,
} from "../../src/conformance/build.ts";
import type { Key } from "../../src/key.ts";
import type { Change, Store } from "../../src/store.ts";
import { startMongodb, type MongodbMember, type MongodbServer } from "../servers/mongodb.ts";
import { waitUntil } from "../servers/process.ts";
import { isSelected } from "../servers/selection.ts";
import { TestState } from "./mongodb-support.ts";
import { untilDone } from "./support.ts";

const ELECTION_TIMEOUT_MS = 1500;
const STATE_PRIMARY = 1;

let server: MongodbServer;

/** Writers that keep several keys busy, and what they were told. */
class Load {
  readonly keys = Array.from({ length: 6 }, () => keyOf(unique()));
  readonly acknowledged: { readonly key: Key; readonly version: number; readonly value: string }[] =
    [];
  #isOver = false;
  readonly #writers: Promise<unknown>;

  constructor(stores: readonly Store[]) {
    const writers = stores.flatMap((store) => this.keys.map((key) => this.#write(store, key)));
    this.#writers = Promise.all(writers);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#writers;
  }

  /** Of a test that fails: its stores are closed next, and writers would go on in vain for ever. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Waits until writes go through again after what the caller has just done. */
  async recovers(): Promise<void> {
    const soFar = this.acknowledged.length;
    await waitUntil("writes", () => this.acknowledged.length > soFar + 60);
  }

  async #write(store: Store, key: Key): Promise<void> {
    while (!this.#isOver) {
      const value = unique();
      const parts = { puts: [put(key, value)], request: requestId() };
      const outcome = await commit(store, parts).catch(() => undefined);
      if (outcome?.outcome !== "committed") continue;
      const version = outcome.puts[0]?.version ?? 0;
      this.acknowledged.push({ key, version, value });
    }
  }
}

/** Follows the feed until it has seen as many versions of each key as there are. */
async function collect(
  changes: AsyncIterable<{ readonly changes: readonly Change[] }>,
  into: Change[],
): Promise<void> {
  for await (const batch of changes) into.push(...batch.changes);
}

async function checkNothingLost(store: Store, load: Load, seen: readonly Change[]): Promise<void> {
  for (const key of load.keys) {
    const history = await store.history(key, { order: "oldest-first", after: 0, limit: Infinity });
    const versions = history.map(({ version }) => version);
    assert.deepEqual(
      versions,
      versions.map((_, i) => i + 1),
      "no gap, no repeat",
    );
    const read = await store.read(
      versions.map((version) => ({ key, select: { version }, value: true })),
    );
    const values = read.map(textOf);
    assert.equal(new Set(values).size, values.length, "every value once");
    for (const one of load.acknowledged.filter((other) => other.key === key)) {
      assert.equal(values[one.version - 1], one.value, `version ${one.version} was acknowledged`);
    }
    const told = (): number[] => seen.filter((one) => one.key === key).map((one) => one.version);
    await waitUntil("the feed", () => told().length >= versions.length);
    assert.deepEqual(told(), versions, "the feed told of each once, in order");
  }
}

/**
 * Whether the others have a primary among them, and none follows the given member any more. A
 * secondary may wait without end for a member that stands still with its connections open: it hears of
 * the new primary at once, and no majority has a write until the old one says something.
 */
async function isLeft(member: MongodbMember): Promise<boolean> {
  const { host } = new URL(member.url);
  const others = server.members.filter((other) => other !== member);
  const all = await Promise.all(others.map((other) => other.command({ replSetGetStatus: 1 })));
  const hasPrimary = all.some((status) => status?.["myState"] === STATE_PRIMARY);
  return hasPrimary && all.every((status) => status && status["syncSourceHost"] !== host);
}

const FAULTS: readonly {
  readonly name: string;
  readonly hurt: (primary: MongodbMember) => Promise<void>;
  readonly mend: (primary: MongodbMember) => Promise<void>;
}[] = [
  {
    name: "is killed",
    hurt: (primary) => primary.kill(),
    mend: (primary) => primary.restart(),
  },
  {
    name: "is paused",
    hurt: async (primary) => {
      primary.signal("SIGSTOP");
      await server.primary();
      primary.signal("SIGCONT");
      await waitUntil("a secondary that follows another", () => isLeft(primary));
      primary.signal("SIGSTOP");
    },
    mend: async (primary) => primary.signal("SIGCONT"),
  },
  {
    name: "is told to step down",
    hurt: (primary) =>
      waitUntil("a step down", async () => {
        await primary.command({ replSetStepDown: 10, force: true });
        return (await primary.command({ hello: 1 }))?.["isWritablePrimary"] === false;
      }),
    mend: async () => {},
  },
];

if (isSelected("mongodb-replica-set")) {
  before(async () => {
    const replicaSet = { members: 3, electionTimeoutMs: ELECTION_TIMEOUT_MS };
    server = await startMongodb({ replicaSet });
  });
  after(() => server.stop());

  for (const { name, hurt, mend } of FAULTS) {
    test(`nothing is lost or doubled, also for followers, when the primary ${name}`, async () => {
      const state = new TestState(server);
      const stores = [await state.open({ timeoutMs: 4000 }), await state.open({ timeoutMs: 4000 })];
      const [store] = stores;
      assert.ok(store);
      const seen: Change[] = [];
      const stop = new AbortController();
      const following = collect(store.changes("now", stop.signal), seen);
      await waitUntil("the feed", async () => {
        await untilDone("a write", () => putOne(store, keyOf("first"), "value"));
        return seen.length > 0;
      });
      await using load = new Load(stores);
      await load.recovers();
      const primary = await server.primary();
      await hurt(primary);
      await load.recovers();
      await mend(primary);
      await load.recovers();
      await load.stop();
      await checkNothingLost(await state.open(), load, seen);
      stop.abort();
      await following;
    });
  }

  test("the promise names how many members have a write", async () => {
    const store = await new TestState(server).open();
    assert.match(store.info.promise, /2 of 3 members/);
    assert.deepEqual(
      store.info.settings.filter(({ verdict }) => verdict !== "ok"),
      [],
    );
    await putOne(store, keyOf("key"), "value");
    assert.equal(textOf(await readOne(store, keyOf("key"), "latest")), "value");
  });

  test("a state with readConcernLevel=linearizable reads what was written", async () => {
    const state = new TestState(server);
    const store = await state.open({}, `${state.url}&readConcernLevel=linearizable`);
    const key = keyOf(unique());
    await putOne(store, key, "value");
    assert.equal(textOf(await readOne(store, key, "latest")), "value");
  });
}
