import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { problemOf, serve, type Served } from "./serve.ts";

let served: Served;
before(async () => {
  served = await serve();
});
after(() => served[Symbol.asyncDispose]());

async function transact(
  body: object | string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(`${served.url}/-/transactions`, {
    method: "POST",
    headers,
    body: typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body),
  });
}

async function valueOf(key: string): Promise<string | undefined> {
  const response = await fetch(`${served.url}/${encodeURIComponent(key)}`);
  const { value } = (await response.json()) as { value?: string };
  return value;
}

test("a transaction writes, deletes and reads together", async () => {
  await served.state.put("t-gone", "bye");
  await served.state.put("t-read", "before");
  const response = await transact({
    if: [
      { key: "t-gone", version: 1 },
      { key: "t-new", version: 0 },
    ],
    put: [
      { key: "t-new", value: "hello", message: "made together" },
      { key: "t-bytes", value: "/wA=", encoding: "base64", contentType: "image/png" },
    ],
    delete: ["t-gone"],
    get: ["t-read", "t-never"],
  });
  assert.equal(response.status, 200);
  const body = (await response.json()) as {
    readonly put: readonly Record<string, unknown>[];
    readonly deleted: readonly string[];
    readonly get: readonly Record<string, unknown>[];
  };
  assert.deepEqual(
    body.put.map(({ key, version }) => ({ key, version })),
    [
      { key: "t-new", version: 1 },
      { key: "t-bytes", version: 1 },
    ],
  );
  assert.deepEqual(body.deleted, ["t-gone"]);
  assert.equal(body.get[0]?.["value"], "before");
  assert.deepEqual(body.get[1], { key: "t-never", version: 0 });
  assert.equal(await valueOf("t-new"), "hello");
  assert.equal(await valueOf("t-gone"), undefined);
  const bytes = await served.state.get("t-bytes");
  assert.deepEqual([...(bytes?.value ?? [])], [0xff, 0x00]);
  assert.equal(bytes?.contentType, "image/png");
});

test("unmet conditions are all named, and nothing is written", async () => {
  await served.state.put("c-a", "1");
  const response = await transact({
    if: [
      { key: "c-a", version: 2 },
      { key: "c-b", version: 1 },
      { key: "c-a", ifMatch: "*" },
    ],
    put: [{ key: "c-a", value: "x" }],
  });
  assert.equal(response.status, 412);
  const problem = (await problemOf(response)) as unknown as { readonly unmet: readonly unknown[] };
  assert.deepEqual(problem.unmet, [
    { condition: 0, key: "c-a", current: 1 },
    { condition: 1, key: "c-b", current: 0 },
  ]);
  assert.equal(await valueOf("c-a"), "1");
});

test("conditions may be ETags, as the headers have them", async () => {
  const { incarnation } = await served.state.put("e", "1");
  const etag = `"${incarnation}.1"`;
  const put = [{ key: "e", value: "2" }];
  assert.equal((await transact({ if: [{ key: "e", ifMatch: '"x.1"' }], put })).status, 412);
  assert.equal((await transact({ if: [{ key: "e", ifNoneMatch: "*" }], put })).status, 412);
  assert.equal((await transact({ if: [{ key: "e", ifMatch: etag }], put })).status, 200);
});

test("an Idempotency-Key makes a transaction safe to send again", async () => {
  const body = { put: [{ key: "i", value: "once" }] };
  const first = await transact(body, { "Idempotency-Key": "t-1" });
  const again = await transact(body, { "Idempotency-Key": "t-1" });
  assert.equal(again.headers.get("idempotency-replayed"), "true");
  const versions = async (response: Response): Promise<unknown> =>
    ((await response.json()) as { put: readonly { version: number }[] }).put[0]?.version;
  assert.equal(await versions(first), 1);
  assert.equal(await versions(again), 1);
  const other = await transact(
    { put: [{ key: "i", value: "other" }] },
    { "Idempotency-Key": "t-1" },
  );
  assert.equal((await problemOf(other)).code, "request_id_reused");
});

test("a body that is no transaction is refused, and says where", async () => {
  const many = Array.from({ length: 129 }, (_, index) => ({ key: `k${index}`, value: "" }));
  const cases: readonly (readonly [
    object | string | Uint8Array<ArrayBuffer>,
    string | undefined,
  ])[] = [
    ["", undefined],
    ["{", undefined],
    ["[]", undefined],
    ["null", undefined],
    ['"text"', undefined],
    [Uint8Array.of(0x7b, 0xff, 0x7d), undefined],
    [{ unknown: [] }, "unknown"],
    ['{"__proto__":[]}', "__proto__"],
    [{ put: {} }, "put"],
    [{ put: many }, "put"],
    [{ put: [{ key: "a" }] }, "put.0.value"],
    [{ put: [{ key: 1, value: "" }] }, "put.0.key"],
    [{ put: [{ key: "a", value: "", encoding: "hex" }] }, "put.0.encoding"],
    [{ put: [{ key: "a", value: "???", encoding: "base64" }] }, "put.0.value"],
    [{ put: [{ key: "a", value: "abc", encoding: "base64" }] }, "put.0.value"],
    [{ put: [{ key: "a", value: "", extra: 1 }] }, "put.0.extra"],
    [{ if: [{ key: "a" }] }, "if.0"],
    [{ if: [{ key: "a", version: -1 }] }, "if.0.version"],
    [{ if: [{ key: "a", version: 1.5 }] }, "if.0.version"],
    [{ delete: [1] }, "delete.0"],
    [`${"[".repeat(200_000)}`, undefined],
    [`{"put":${"[".repeat(200_000)}${"]".repeat(200_000)}}`, undefined],
    [`{"put":${"[".repeat(90)}${"]".repeat(90)}}`, "put.0.key"],
    [{ put: [{ key: "a", value: { b: [{ c: 1 }] } }] }, "put.0.value"],
  ];
  for (const [body, parameter] of cases) {
    const response = await transact(body);
    const problem = await problemOf(response);
    const name = typeof body === "string" ? body.slice(0, 40) : JSON.stringify(body).slice(0, 60);
    assert.equal(problem.code, "invalid_body", `${name} ${problem.detail}`);
    assert.equal(problem.parameter, parameter, name);
  }
  const badKey = await problemOf(await transact({ put: [{ key: "-", value: "" }] }));
  assert.equal(badKey.code, "invalid_key");
  const badTag = await problemOf(await transact({ if: [{ key: "a", ifMatch: "1" }] }));
  assert.equal(badTag.parameter, "if.0.ifMatch");
  const empty = await problemOf(await transact({}));
  assert.equal(empty.status, 400);
});

test("a prefix is brought back to a moment, first as a rehearsal", async () => {
  await served.state.put("p/a", "old");
  const { createdAt } = await served.state.put("p/b", "old");
  while (Date.now() <= createdAt) await new Promise((resolve) => setImmediate(resolve));
  await served.state.put("p/a", "new");
  await served.state.put("p/c", "too new");
  const at = new Date(createdAt).toISOString();
  const restore = async (query: string): Promise<Record<string, unknown>> => {
    const response = await fetch(`${served.url}/-/restore?prefix=p%2F&at=${at}${query}`, {
      method: "POST",
    });
    assert.equal(response.status, 200);
    return (await response.json()) as Record<string, unknown>;
  };
  assert.deepEqual(await restore("&dryRun=true"), {
    dryRun: true,
    restored: [
      { key: "p/a", action: "put", from: 1 },
      { key: "p/c", action: "delete" },
    ],
    unchanged: 1,
    conflicts: [],
    trimmed: [],
  });
  assert.equal(await valueOf("p/a"), "new");
  const done = await restore("");
  assert.deepEqual(done["restored"], [
    { key: "p/a", action: "put", from: 1, version: 3 },
    { key: "p/c", action: "delete" },
  ]);
  assert.equal(await valueOf("p/a"), "old");
  assert.equal(await valueOf("p/c"), undefined);
  const missing = await fetch(`${served.url}/-/restore?prefix=p`, { method: "POST" });
  assert.equal((await problemOf(missing)).parameter, "at");
});

test("keys are listed in order, folded, paged and with their values", async () => {
  await using own = await serve();
  const names = ["a", "a/1", "a/2", "b/x/1", "b/x/2", "c", "Z", "é", "😀", "\uFFFD"];
  for (const name of names) await own.state.put(name, `value of ${name}`);
  const list = async (query: string): Promise<{ body: Listing; link: string | null }> => {
    const response = await fetch(`${own.url}/-/keys?${query}`);
    assert.equal(response.status, 200, query);
    return { body: (await response.json()) as Listing, link: response.headers.get("link") };
  };
  const sorted = names.toSorted((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)));
  assert.deepEqual(
    (await list("")).body.keys.map(({ key }) => key),
    sorted,
  );
  const folded = (await list("delimiter=%2F")).body;
  assert.deepEqual(folded.prefixes, ["a/", "b/"]);
  assert.deepEqual(
    folded.keys.map(({ key }) => key),
    ["Z", "a", "c", "é", "\uFFFD", "😀"],
  );
  assert.deepEqual(
    (await list("prefix=a%2F")).body.keys.map(({ key }) => key),
    ["a/1", "a/2"],
  );
  const seen: string[] = [];
  for (let query: string | undefined = "limit=3&values=true"; query !== undefined;) {
    const { body, link }: { body: Listing; link: string | null } = await list(query);
    for (const { key, value } of body.keys) {
      assert.equal(value, `value of ${key}`);
      seen.push(key);
    }
    query = link === null ? undefined : /\?(.*)>; rel="next"$/.exec(link)?.[1];
    assert.equal(body.next === undefined, query === undefined);
  }
  assert.deepEqual(seen, sorted);
  const bad = await fetch(`${own.url}/-/keys?after=%25%25`);
  assert.equal((await problemOf(bad)).parameter, "after");
});

interface Listing {
  readonly keys: readonly { readonly key: string; readonly value?: string }[];
  readonly prefixes: readonly string[];
  readonly next?: string;
}
