import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { problemOf, serve, type Served } from "./serve.ts";

let time = Date.UTC(2026, 10, 21, 10, 0, 0, 0);
const clock = { now: () => time, monotonic: () => performance.now() };

let served: Served;
before(async () => {
  served = await serve({}, { clock });
});
after(() => served[Symbol.asyncDispose]());

async function put(
  path: string,
  body: string,
  headers: Record<string, string> = {},
): Promise<void> {
  const response = await fetch(served.url + path, { method: "PUT", body, headers });
  assert.equal(response.status, 200, await response.text());
}

async function get(path: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(served.url + path, { headers });
}

async function getJson<T>(path: string): Promise<T> {
  const response = await get(path);
  assert.equal(response.status, 200, path);
  return (await response.json()) as T;
}

interface HistoryPage {
  readonly key: string;
  readonly versions: readonly Record<string, unknown>[];
  readonly next?: number;
}

test("a history lists versions newest first, with what is known of each", async () => {
  const start = new Date(time).toISOString();
  await put("/doc?author=Ann&message=first%20draft", "one", { "content-type": "text/markdown" });
  time += 1_000;
  await put("/doc", "two!");
  const page = await getJson<HistoryPage>("/doc/versions");
  assert.equal(page.key, "doc");
  assert.equal(page.next, undefined);
  const [second, first] = page.versions;
  assert.deepEqual(Object.keys(first ?? {}), [
    "version",
    "size",
    "contentType",
    "createdAt",
    "digest",
    "etag",
    "author",
    "message",
  ]);
  assert.equal(first?.["version"], 1);
  assert.equal(first["size"], 3);
  assert.equal(first["contentType"], "text/markdown");
  assert.equal(first["createdAt"], start);
  assert.equal(first["author"], "Ann");
  assert.equal(first["message"], "first draft");
  assert.equal(second?.["version"], 2);
  assert.equal(second["createdAt"], new Date(time).toISOString());
  assert.equal(second["author"], undefined);
  assert.equal(second["etag"], (await get("/doc")).headers.get("etag"));
});

test("a history is paged by the version, and each page links to the next", async () => {
  for (let n = 1; n <= 25; n += 1) await put("/paged", `value ${n}`);
  const seen: unknown[] = [];
  let path: string | undefined = "/paged/versions?limit=10&values=true";
  let pages = 0;
  while (path !== undefined) {
    const response = await get(path);
    const page = (await response.json()) as HistoryPage;
    seen.push(...page.versions.map(({ value }) => value));
    const link = response.headers.get("link");
    assert.equal(link === null, page.next === undefined);
    path = link === null ? undefined : /^<(.*)>; rel="next"$/.exec(link)?.[1];
    pages += 1;
  }
  assert.equal(pages, 3);
  assert.deepEqual(
    seen,
    Array.from({ length: 25 }, (_, index) => `value ${25 - index}`),
  );
  const below = await getJson<HistoryPage>("/paged/versions?before=3");
  assert.deepEqual(
    below.versions.map(({ version }) => version),
    [2, 1],
  );
});

test("the history of no key is a 404, and a bad page a 400", async () => {
  assert.equal((await problemOf(await get("/nothing/versions"))).code, "key_not_found");
  for (const query of ["limit=0", "limit=1001", "limit=x", "before=0", "values=maybe"]) {
    const problem = await problemOf(await get(`/doc/versions?${query}`));
    assert.equal(problem.code, "invalid_parameter");
    assert.equal(problem.parameter, query.split("=")[0]);
  }
});

test("a key can be read as of a time", async () => {
  const start = time;
  await put("/past", "one");
  time += 10_500;
  await put("/past", "two");
  const at = (ms: number): string => new Date(start + ms).toISOString();
  const cases: readonly (readonly [number, string])[] = [
    [0, "one"],
    [10_499, "one"],
    [10_500, "two"],
    [9_999_999, "two"],
  ];
  for (const [ms, value] of cases) {
    const response = await get(`/past?at=${at(ms)}`);
    assert.equal(((await response.json()) as { value: string }).value, value, String(ms));
    const memento = response.headers.get("memento-datetime") ?? "";
    const made = value === "one" ? start : start + 10_500;
    assert.equal(Date.parse(memento), Math.floor(made / 1000) * 1000);
    assert.equal(await (await get(`/past?at=${at(ms)}&raw`)).text(), value);
  }
  const head = await fetch(`${served.url}/past?at=${at(0)}`, { method: "HEAD" });
  assert.equal(head.headers.get("vss-version"), "1");
  assert.equal((await problemOf(await get(`/past?at=${at(-1)}`))).code, "version_not_found");
  assert.equal((await problemOf(await get(`/nothing?at=${at(0)}`))).status, 404);
  assert.equal((await problemOf(await get("/past?at=yesterday"))).parameter, "at");
});

test("Accept-Datetime reads as of a whole second, as RFC 7089 has it", async () => {
  time += 5_000 - (time % 1000);
  const start = time;
  time += 250;
  await put("/memento", "one");
  time += 2_000;
  await put("/memento", "two");
  const response = await get("/memento", { "Accept-Datetime": new Date(start).toUTCString() });
  assert.equal(((await response.json()) as { value: string }).value, "one");
  assert.equal(response.headers.get("memento-datetime"), new Date(start).toUTCString());
  assert.equal(response.headers.get("vary"), "Accept-Datetime");
  const bad = await get("/memento", { "Accept-Datetime": "2026-11-21T10:00:00Z" });
  assert.equal((await problemOf(bad)).parameter, "Accept-Datetime");
  assert.equal((await get("/memento")).headers.get("memento-datetime"), null);
});

test("two versions are compared as text, as JSON Patch, or as JSON that says more", async () => {
  await put("/diff", '{"a":1,\n"b":2}\n');
  await put("/diff", '{"a":1,\n"b":3}\n');
  const text = await get("/diff/diff?from=1&to=2");
  assert.equal(text.headers.get("content-type"), "text/plain; charset=utf-8");
  assert.equal(text.headers.get("vary"), "Accept");
  const unified = await text.text();
  assert.match(unified, /^-"b":2}$/m);
  assert.match(unified, /^\+"b":3}$/m);
  const patch = await get("/diff/diff?from=1", { Accept: "application/json-patch+json" });
  assert.equal(patch.headers.get("content-type"), "application/json-patch+json");
  assert.deepEqual(await patch.json(), [{ op: "replace", path: "/b", value: 3 }]);
  const json = await get("/diff/diff?from=1&to=2", { Accept: "application/json" });
  const { kind, diff, from, to, key } = (await json.json()) as Record<string, unknown>;
  assert.equal(key, "diff");
  assert.equal(kind, "text");
  assert.equal(diff, unified);
  assert.equal((from as { version: number }).version, 1);
  assert.equal((to as { version: number }).version, 2);
  const asPatch = await get("/diff/diff?from=1&format=json-patch", { Accept: "application/json" });
  assert.equal(((await asPatch.json()) as { kind: string }).kind, "json-patch");
});

test("either end of a comparison may be a time", async () => {
  const start = time;
  await put("/times", "a\n");
  time += 1_000;
  await put("/times", "b\n");
  const from = new Date(start).toISOString();
  assert.match(await (await get(`/times/diff?from=${from}&to=2`)).text(), /^-a\n\+b$/m);
});

test("a comparison that can't be made says why", async () => {
  await put("/odd", "no json");
  await put("/odd", "none either");
  const patch = await get("/odd/diff?from=1", { Accept: "application/json-patch+json" });
  assert.equal((await problemOf(patch)).code, "diff_unsupported");
  const none = await problemOf(await get("/odd/diff?from=1", { Accept: "image/png" }));
  assert.equal(none.code, "not_acceptable");
  assert.equal((await problemOf(await get("/odd/diff?from=9"))).code, "version_not_found");
  assert.equal((await problemOf(await get("/odd/diff?to=1"))).parameter, "from");
  assert.equal((await problemOf(await get("/odd/diff?from=0"))).parameter, "from");
  await fetch(`${served.url}/odd`, { method: "PUT", body: Uint8Array.of(0xff, 0x00) });
  const binary = await get("/odd/diff?from=1");
  assert.equal(binary.status, 200);
  assert.match(await binary.text(), /version 3: 2 bytes, SHA-256 [0-9a-f]{64}/);
});

test("a restore writes an old value as a new version, and says so", async () => {
  await put("/lost", "good", { "content-type": "text/markdown" });
  await put("/lost", "bad");
  const response = await fetch(`${served.url}/lost/restore?version=1&author=Ann`, {
    method: "POST",
  });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("location"), "/lost/3");
  assert.equal(((await response.json()) as { version: number }).version, 3);
  assert.equal(await (await get("/lost?raw")).text(), "good");
  const { versions } = await getJson<HistoryPage>("/lost/versions?limit=1");
  assert.equal(versions[0]?.["author"], "Ann");
  assert.equal(versions[0]["contentType"], "text/markdown");
  assert.match(String(versions[0]["message"]), /1/);
});

test("a restore takes a version or a time, conditions and an Idempotency-Key", async () => {
  const start = time;
  await put("/back", "one");
  time += 1_000;
  await put("/back", "two");
  const post = (query: string, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${served.url}/back/restore?${query}`, { method: "POST", headers });
  assert.equal((await post("version=1&cas=1")).status, 412);
  const id = { "Idempotency-Key": "r" };
  const first = await post(`at=${new Date(start).toISOString()}&cas=2`, id);
  const again = await post(`at=${new Date(start).toISOString()}&cas=2`, id);
  assert.equal(first.status, 200);
  assert.equal(again.headers.get("idempotency-replayed"), "true");
  assert.deepEqual(await again.json(), await first.json());
  assert.equal((await problemOf(await post(""))).parameter, "version");
  assert.equal((await problemOf(await post("version=1&at=2026-01-01T00:00:00Z"))).status, 400);
  assert.equal((await problemOf(await post("version=9"))).code, "version_not_found");
});
