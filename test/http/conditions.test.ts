import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { problemOf, serve, type Served } from "./serve.ts";

let served: Served;
before(async () => {
  served = await serve();
});
after(() => served[Symbol.asyncDispose]());

let keys = 0;
function freshUrl(): string {
  keys += 1;
  return `${served.url}/key-${keys}`;
}

async function send(
  method: string,
  url: string,
  headers: Record<string, string> = {},
  body?: string,
): Promise<Response> {
  return fetch(url, { method, headers, ...(body === undefined ? {} : { body }) });
}

async function put(
  url: string,
  body: string,
  headers: Record<string, string> = {},
): Promise<string> {
  const response = await send("PUT", url, headers, body);
  assert.equal(response.status, 200, await response.clone().text());
  return response.headers.get("etag") ?? "";
}

async function assertUnmet(
  response: Response,
  current: number,
  etag: string | undefined,
): Promise<void> {
  assert.equal(response.status, 412);
  const problem = await problemOf(response);
  assert.equal(problem.code, "condition_failed");
  assert.equal(problem.applied, "no");
  assert.equal(problem.current, current);
  assert.equal(problem.currentEtag, etag);
}

test("?cas= writes only over the version it names", async () => {
  const url = freshUrl();
  await assertUnmet(await send("PUT", `${url}?cas=1`, {}, "x"), 0, undefined);
  await put(`${url}?cas=0`, "one");
  const etag = await put(`${url}?cas=1`, "two");
  for (const cas of [0, 1, 3]) {
    await assertUnmet(await send("PUT", `${url}?cas=${cas}`, {}, "x"), 2, etag);
    await assertUnmet(await send("DELETE", `${url}?cas=${cas}`), 2, etag);
  }
  assert.deepEqual(await (await fetch(url)).json(), { value: "two", version: 2 });
  assert.deepEqual(await (await send("DELETE", `${url}?cas=2`)).json(), { versions: 2 });
});

test("If-Match writes only over the entries it names", async () => {
  const url = freshUrl();
  await assertUnmet(await send("PUT", url, { "If-Match": "*" }, "x"), 0, undefined);
  await assertUnmet(await send("PUT", url, { "If-Match": '"a.1"' }, "x"), 0, undefined);
  const first = await put(url, "one");
  const second = await put(url, "two", { "If-Match": first });
  const unmet = [first, `W/${second}`, '"foreign"', `${second.slice(0, -2)}3"`, ""];
  for (const header of unmet) {
    await assertUnmet(await send("PUT", url, { "If-Match": header }, "x"), 2, second);
  }
  const third = await put(url, "three", { "If-Match": `${first}, "foreign", ${second}` });
  await put(url, "four", { "If-Match": "*" });
  await assertUnmet(await send("DELETE", url, { "If-Match": third }), 4, await etagOf(url));
});

async function etagOf(url: string): Promise<string | undefined> {
  return (await fetch(url)).headers.get("etag") ?? undefined;
}

test("If-None-Match: * writes only a new key", async () => {
  const url = freshUrl();
  const etag = await put(url, "one", { "If-None-Match": "*" });
  await assertUnmet(await send("PUT", url, { "If-None-Match": "*" }, "x"), 1, etag);
  await assertUnmet(await send("PUT", url, { "If-None-Match": etag }, "x"), 1, etag);
  await assertUnmet(await send("PUT", url, { "If-None-Match": `W/${etag}` }, "x"), 1, etag);
  await put(url, "two", { "If-None-Match": '"foreign", "a.1"' });
});

test("an ETag of an earlier life of a key matches nothing in a later one", async () => {
  const url = freshUrl();
  const old = await put(url, "old");
  await send("DELETE", url);
  const etag = await put(url, "new");
  await assertUnmet(await send("PUT", url, { "If-Match": old }, "x"), 1, etag);
  // The convenient form can't tell them apart, and says so in the docs.
  await put(`${url}?cas=1`, "x");
});

test("all conditions of a request must hold", async () => {
  const url = freshUrl();
  const first = await put(url, "one");
  const second = await put(url, "two");
  await assertUnmet(await send("PUT", `${url}?cas=2`, { "If-Match": first }, "x"), 2, second);
  await put(`${url}?cas=2`, "three", { "If-Match": second });
});

test("a condition that can't be read is a 400 and writes nothing", async () => {
  const url = freshUrl();
  const cases: readonly (readonly [string, Record<string, string>, string])[] = [
    ["?cas=one", {}, "cas"],
    ["?cas=", {}, "cas"],
    ["?cas=-1", {}, "cas"],
    ["?cas=0&cas=0", {}, "cas"],
    ["", { "If-Match": "1" }, "If-Match"],
    ["", { "If-None-Match": "unquoted" }, "If-None-Match"],
  ];
  for (const [query, headers, parameter] of cases) {
    for (const method of ["PUT", "DELETE"]) {
      const problem = await problemOf(await send(method, url + query, headers));
      assert.equal(problem.code, "invalid_parameter");
      assert.equal(problem.parameter, parameter);
    }
  }
  assert.equal((await fetch(url)).status, 404);
});

test("a read with If-None-Match is a 304 while that entry is the answer", async () => {
  const url = freshUrl();
  const first = await put(url, "one");
  for (const header of [first, `W/${first}`, `"foreign", ${first}`, "*"]) {
    for (const method of ["GET", "HEAD"]) {
      const response = await send(method, url, { "If-None-Match": header });
      assert.equal(response.status, 304, header);
      assert.equal(await response.text(), "");
      assert.equal(response.headers.get("etag"), first);
      assert.equal(response.headers.get("content-type"), null);
    }
  }
  const raw = await send("GET", `${url}?raw`, { "If-None-Match": first });
  assert.equal(raw.status, 304);
  await put(url, "two");
  assert.equal((await send("GET", url, { "If-None-Match": first })).status, 200);
  assert.equal((await send("GET", `${url}/1`, { "If-None-Match": first })).status, 304);
  assert.equal((await send("GET", `${url}/2`, { "If-None-Match": first })).status, 200);
  const problem = await problemOf(await send("GET", url, { "If-None-Match": "1" }));
  assert.equal(problem.parameter, "If-None-Match");
});

test("fifty writers on one version have one winner a round", async () => {
  const url = freshUrl();
  for (let round = 0; round < 5; round += 1) {
    const statuses = await Promise.all(
      Array.from({ length: 50 }, async (_, writer) => {
        const response = await send("PUT", `${url}?cas=${round}`, {}, `${round}.${writer}`);
        await response.arrayBuffer();
        return response.status;
      }),
    );
    assert.equal(statuses.filter((status) => status === 200).length, 1);
    assert.equal(statuses.filter((status) => status === 412).length, 49);
  }
});

test("an Idempotency-Key writes once, and answers the first outcome again", async () => {
  const url = freshUrl();
  for (const id of ["id-1", '"id 2"', '"a\\"b"']) {
    const headers = { "Idempotency-Key": id };
    const first = await send("PUT", url, headers, "value");
    const again = await send("PUT", url, headers, "value");
    assert.equal(first.headers.get("idempotency-replayed"), null);
    assert.equal(again.headers.get("idempotency-replayed"), "true");
    assert.equal(again.headers.get("etag"), first.headers.get("etag"));
    assert.equal(again.headers.get("location"), first.headers.get("location"));
    assert.deepEqual(await again.json(), await first.json());
    const other = await problemOf(await send("PUT", url, headers, "other"));
    assert.equal(other.code, "request_id_reused");
    assert.equal(other.status, 422);
  }
  // With and without quotes it is the same id.
  const bare = await send("PUT", url, { "Idempotency-Key": '"id-1"' }, "value");
  assert.equal(bare.headers.get("idempotency-replayed"), "true");
  assert.deepEqual(await (await fetch(url)).json(), { value: "value", version: 3 });
  const tooLong = await send("PUT", url, { "Idempotency-Key": "x".repeat(257) }, "value");
  assert.equal((await problemOf(tooLong)).parameter, "Idempotency-Key");
});

test("a server that requires conditions takes no write without one", async () => {
  await using strict = await serve({ requireConditions: true });
  const url = `${strict.url}/k`;
  const refused = await send("PUT", url, {}, "x");
  assert.equal(refused.status, 428);
  assert.equal((await problemOf(refused)).code, "condition_required");
  const etag = await put(`${url}?cas=0`, "one");
  await put(url, "two", { "If-Match": etag });
  assert.equal((await send("POST", `${url}/restore?version=1`)).status, 428);
  assert.equal((await send("POST", `${url}/restore?version=1&cas=2`)).status, 200);
  assert.equal((await send("DELETE", url)).status, 200);
});

test("a write that asks for a part, or for a condition on times, is refused whole", async () => {
  const url = freshUrl();
  await put(url, "first");
  for (const header of ["If-Unmodified-Since", "Content-Range"]) {
    const value = header === "Content-Range" ? "bytes 0-1/5" : "Sat, 01 Jan 2000 00:00:00 GMT";
    const response = await send("PUT", url, { [header]: value }, "second");
    const { code, detail } = await problemOf(response);
    assert.equal(code, "invalid_request");
    assert.match(String(detail), /Nothing was written/);
  }
  const response = await send("DELETE", url, { "If-Unmodified-Since": new Date(0).toUTCString() });
  assert.equal(response.status, 400);
  assert.equal(((await (await fetch(url)).json()) as { version: number }).version, 1);
});
