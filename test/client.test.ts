import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { StateClient, StateError, type WatchEvent } from "../src/client/index.ts";
import { createServer, type HttpServer } from "../src/http/server.ts";
import { open, type VersionedState } from "../src/index.ts";
import { freePort } from "./servers/process.ts";

/** The client against a real server over the memory store, on a port of its own. */
let state: VersionedState;
let server: HttpServer;
let url: string;
let client: StateClient;

before(async () => {
  state = await open("memory:");
  server = await createServer(state);
  const { port } = await server.listen({ port: 0 });
  url = `http://127.0.0.1:${port}`;
  client = new StateClient(url);
});

after(async () => {
  await client.close();
  await server.close(1_000);
  await state.close();
});

/** The engine may answer a Buffer, and members that are undefined; the client does not. */
function assertSame(actual: unknown, expected: unknown): void {
  const plain = (value: unknown): unknown =>
    JSON.parse(
      JSON.stringify(value, (_name, item: unknown) =>
        item instanceof Uint8Array ? Buffer.from(item).toJSON() : item,
      ) ?? "null",
    );
  assert.deepEqual(plain(actual), plain(expected));
}

let keys = 0;
function newKey(suffix = ""): string {
  keys += 1;
  return `key-${keys}${suffix}`;
}

const ODD_BYTES = Uint8Array.from({ length: 256 }, (_, index) => index);

async function codeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => "none",
    (error: unknown) => (error instanceof StateError ? error.code : String(error)),
  );
}

test("values, metadata and odd keys come back as they were put", async () => {
  for (const suffix of ["", "/a b", "%2F", "é😀", "?x#y", "__proto__"]) {
    const key = newKey(suffix);
    const about = { author: 'Zoë, "1%"', message: "why\nnot", contentType: "image/png" };
    const first = await client.put(key, ODD_BYTES, about);
    assert.equal(first.version, 1);
    const second = await client.put(key, "naïve");
    assertSame(await client.get(key), await state.get(key));
    const entry = await client.getVersion(key, 1);
    assert.deepEqual(entry?.value, ODD_BYTES);
    assert.deepEqual(
      { ...entry, value: undefined },
      { ...(await state.head(key, { version: 1 })), value: undefined },
    );
    assert.equal(entry?.author, about.author);
    assertSame(await client.head(key), await state.head(key));
    assert.deepEqual(await client.get(key, { at: first.createdAt - 1 }), undefined);
    assert.deepEqual((await client.get(key, { at: second.createdAt }))?.version, 2);
  }
});

test("what does not exist is undefined, and a delete of it removes nothing", async () => {
  const key = newKey();
  assert.equal(await client.get(key), undefined);
  assert.equal(await client.head(key), undefined);
  assert.equal(await client.head(key, { version: 3 }), undefined);
  assert.equal(await client.getVersion(key, 1), undefined);
  assert.equal(await client.history(key), undefined);
  assert.equal(await client.restore(key, { from: { version: 1 } }), undefined);
  assert.deepEqual(await client.delete(key), { versions: 0 });
});

test("conditions are the engine's, by number and by entry", async () => {
  const key = newKey();
  const first = await client.put(key, "a", { ifNoneMatch: "*" });
  assert.equal(await codeOf(client.put(key, "b", { ifNoneMatch: "*" })), "condition_failed");
  assert.equal(await codeOf(client.put(key, "b", { cas: 7 })), "condition_failed");
  assert.equal(await codeOf(client.put(key, "b", { ifMatch: [] })), "condition_failed");
  const second = await client.put(key, "b", { ifMatch: [first] });
  assert.equal(second.version, 2);
  assert.equal(await codeOf(client.delete(key, { ifMatch: [first] })), "condition_failed");
  assert.deepEqual(await client.delete(key, { cas: 2 }), { versions: 2 });
});

test("the same idempotency key answers the first outcome", async () => {
  const key = newKey();
  const options = { idempotencyKey: 'a "quoted" \\ id' };
  const first = await client.put(key, "a", options);
  const again = await client.put(key, "a", options);
  assert.deepEqual(again, { ...first, replayed: true });
  assert.equal(await codeOf(client.put(key, "b", options)), "request_id_reused");
});

test("what cannot travel as it is never leaves the client, and nothing is tried again", async () => {
  const key = newKey();
  const half = "\ud800";
  const { signal } = new AbortController();
  const calls: readonly (() => Promise<unknown>)[] = [
    () => client.put(key, "x", { contentType: "日本" }),
    () => client.put(key, "x", { contentType: "text/plain\r\nX-Other: 1" }),
    () => client.put(key, "x", { message: half }),
    () => client.put(key, "x", { author: half }),
    () => client.put(key, "x", { ifMatch: [{ incarnation: "日", version: 1 }] }),
    async () => client.keys({ prefix: half }),
    async () => client.restorePrefix({ prefix: half, at: 0 }),
    async () => client.watch(key, { lastEventId: "日", signal })[Symbol.asyncIterator]().next(),
    async () => client.watchPrefix({ prefix: half, signal })[Symbol.asyncIterator]().next(),
  ];
  for (const call of calls) assert.equal(await codeOf(call()), "invalid_parameter", String(call));
  assert.equal(await client.get(key), undefined);
});

test("lists are paged like the engine's, with values where asked for", async () => {
  const prefix = newKey("-");
  for (const name of ["b/1", "a", "b/2", "c"]) await client.put(prefix + name, name);
  for (let version = 2; version <= 5; version += 1) await client.put(`${prefix}a`, ODD_BYTES);
  for (const options of [
    { prefix, limit: 2 },
    { prefix, delimiter: "/" },
    { prefix, values: true },
    { prefix, at: Date.now() },
  ]) {
    assertSame(await client.keys(options), await state.keys(options));
  }
  const page = await client.keys({ prefix, limit: 2 });
  assert.ok(page.next !== undefined);
  const rest = await client.keys({ prefix, limit: 10, after: page.next });
  assert.deepEqual(
    [...page.keys, ...rest.keys].map(({ key }) => key.slice(prefix.length)),
    ["a", "b/1", "b/2", "c"],
  );
  for (const options of [{}, { limit: 2 }, { before: 3, values: true }]) {
    const found = await client.history(`${prefix}a`, options);
    assertSame(found, await state.history(`${prefix}a`, options));
  }
});

test("diff and restore are the engine's", async () => {
  const key = newKey();
  await client.put(key, '{"a":1}\n');
  await client.put(key, '{"a":2}\n');
  for (const format of ["text", "json-patch"] as const) {
    const options = { from: { version: 1 }, format };
    assertSame(await client.diff(key, options), await state.diff(key, options));
  }
  const restored = await client.restore(key, { from: { version: 1 }, message: "back" });
  assert.equal(restored?.version, 3);
  assert.deepEqual((await client.get(key))?.value, (await client.getVersion(key, 1))?.value);
  const at = (await client.head(key, { version: 1 }))?.createdAt ?? 0;
  const report = await client.restorePrefix({ prefix: key, at, dryRun: true });
  assert.deepEqual(report, await state.restorePrefix({ prefix: key, at, dryRun: true }));
});

test("a transaction changes all its keys or none", async () => {
  const [one, other] = [newKey(), newKey()];
  await client.put(one, "1");
  const answer = await client.transact({
    if: [{ key: one, cas: 1 }],
    put: [{ key: other, value: ODD_BYTES, message: "moved" }],
    delete: [one],
    get: [one, "never"],
  });
  assert.equal(answer.put[0]?.version, 1);
  assert.deepEqual(answer.deleted, [{ key: one, versions: 1 }]);
  assert.deepEqual(answer.get[0]?.entry?.value, new TextEncoder().encode("1"));
  assert.equal(answer.get[1]?.entry, undefined);
  assert.deepEqual((await client.get(other))?.value, ODD_BYTES);
  const failing = { if: [{ key: one, cas: 9 }], delete: [other] };
  assert.equal(await codeOf(client.transact(failing)), "condition_failed");
  assert.ok(await client.get(other));
});

async function take(events: AsyncIterator<WatchEvent>, count: number): Promise<WatchEvent[]> {
  const taken: WatchEvent[] = [];
  while (taken.length < count) {
    const next = await events.next();
    assert.ok(next.done !== true, "the watch ended");
    taken.push(next.value);
  }
  return taken;
}

function describe(event: WatchEvent): string {
  if (event.type === "put") return `put ${event.version}`;
  return event.type;
}

test("a watch brings the history, then what happens", async () => {
  const key = newKey();
  await client.put(key, "a");
  await client.put(key, ODD_BYTES, { author: "me" });
  const events = client.watch(key, { after: 0, values: true })[Symbol.asyncIterator]();
  const history = await take(events, 3);
  assert.deepEqual(history.map(describe), ["put 1", "put 2", "caught-up"]);
  const [, second] = history;
  assert.ok(second?.type === "put");
  assert.deepEqual(second.entry?.value, ODD_BYTES);
  assert.equal(second.entry?.author, "me");
  await client.put(key, "c");
  assert.deepEqual((await take(events, 1)).map(describe), ["put 3"]);
  await client.delete(key);
  assert.deepEqual((await take(events, 1)).map(describe), ["delete"]);
  await events.return?.();
});

test("a watch goes on where it was after its server went away and came back", async () => {
  const own = await createServer(state);
  const port = await freePort();
  await own.listen({ port });
  const watcher = new StateClient(`http://127.0.0.1:${port}`);
  const prefix = newKey("-");
  const seen: string[] = [];
  const stop = new AbortController();
  let caughtUp = (): void => {};
  const isWatching = new Promise<void>((resolve) => (caughtUp = resolve));
  const watching = (async () => {
    for await (const event of watcher.watchPrefix({ prefix, signal: stop.signal })) {
      if (event.type === "caught-up") caughtUp();
      if (event.type === "put") seen.push(event.key.slice(prefix.length));
      if (seen.length === 3) stop.abort();
    }
  })();
  await isWatching;
  await state.put(`${prefix}before`, "x");
  while (seen.length < 1) await new Promise((resolve) => setImmediate(resolve));
  await own.close(100);
  await state.put(`${prefix}between`, "x");
  const again = await createServer(state);
  await again.listen({ port });
  await state.put(`${prefix}after`, "x");
  await watching;
  assert.deepEqual(seen, ["before", "between", "after"]);
  await watcher.close();
  await again.close(100);
});

test("what the server refuses for good ends a watch", async () => {
  const iterator = client
    .watchPrefix({ prefix: "", lastEventId: "no id!" })
    [Symbol.asyncIterator]();
  assert.equal(await codeOf(iterator.next()), "invalid_parameter");
});

test("closing the client ends its watches", async () => {
  const own = new StateClient(url);
  const iterator = own.watchPrefix({ prefix: newKey() })[Symbol.asyncIterator]();
  const first = await iterator.next();
  assert.ok(first.done !== true && first.value.type === "caught-up");
  const next = iterator.next();
  await own.close();
  assert.equal((await next).done, true);
  assert.equal(await codeOf(own.get("k")), "store_unavailable");
});
