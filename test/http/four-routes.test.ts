import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, test } from "node:test";

import { problemOf, serve, type Served } from "./serve.ts";

let served: Served;
before(async () => {
  served = await serve();
});
after(() => served[Symbol.asyncDispose]());

let keys = 0;
function freshKey(): string {
  keys += 1;
  return `key-${keys}`;
}

async function put(
  key: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(`${served.url}/${key}`, { method: "PUT", body, headers });
}

async function getJson(path: string): Promise<unknown> {
  const response = await fetch(served.url + path);
  assert.equal(response.status, 200, path);
  return response.json();
}

test("a put answers the new version, its time, its digest, its ETag and where it is", async () => {
  const key = freshKey();
  const start = Date.now();
  const response = await put(key, "hello");
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "application/json");
  assert.equal(response.headers.get("location"), `/${key}/1`);
  assert.match(response.headers.get("etag") ?? "", /^"[^".]+\.1"$/);
  const body = (await response.json()) as Record<string, unknown>;
  assert.deepEqual(Object.keys(body), ["key", "version", "createdAt", "digest"]);
  assert.equal(body["key"], key);
  assert.equal(body["version"], 1);
  assert.equal(body["digest"], createHash("sha256").update("hello").digest("hex"));
  const time = Date.parse(String(body["createdAt"]));
  assert.ok(time >= start && time <= Date.now());
  assert.match(String(body["createdAt"]), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
});

test("versions count up, each stays readable, and the latest answers the key", async () => {
  const key = freshKey();
  for (const value of ["one", "two", "three"]) await put(key, value);
  assert.deepEqual(await getJson(`/${key}`), { value: "three", version: 3 });
  assert.deepEqual(await getJson(`/${key}/1`), { value: "one", version: 1 });
  assert.deepEqual(await getJson(`/${key}/2`), { value: "two", version: 2 });
  assert.deepEqual(await getJson(`/${key}/3`), { value: "three", version: 3 });
  const response = await fetch(`${served.url}/${key}/4`);
  assert.equal((await problemOf(response)).code, "version_not_found");
});

test("a read carries ETag and Last-Modified and may be kept only to be asked for again", async () => {
  const key = freshKey();
  const answer = await put(key, "v");
  const etag = answer.headers.get("etag");
  const { createdAt } = (await answer.json()) as { readonly createdAt: string };
  const second = Math.floor(Date.parse(createdAt) / 1000) * 1000;
  for (const path of [`/${key}`, `/${key}/1`]) {
    const { headers } = await fetch(served.url + path);
    assert.equal(headers.get("etag"), etag);
    assert.equal(Date.parse(headers.get("last-modified") ?? ""), second);
    assert.equal(headers.get("cache-control"), "no-cache");
    assert.equal(headers.get("content-type"), "application/json");
  }
});

test("what does not exist is a 404 that says what", async () => {
  const key = freshKey();
  await put(key, "v");
  const cases: readonly (readonly [string, string])[] = [
    ["/never-put", "key_not_found"],
    ["/never-put/1", "version_not_found"],
    [`/${key}/2`, "version_not_found"],
    [`/${key}/0`, "version_not_found"],
    [`/${key}/01`, "version_not_found"],
    [`/${key}/-1`, "version_not_found"],
    [`/${key}/1.0`, "version_not_found"],
    [`/${key}/1e0`, "version_not_found"],
    [`/${key}/+1`, "version_not_found"],
    [`/${key}/latest`, "version_not_found"],
    [`/${key}/99999999999999999999`, "version_not_found"],
    [`/${key}/Versions`, "version_not_found"],
    [`/${key}/`, "route_not_found"],
    [`/${key}/1/`, "route_not_found"],
    [`/${key}/1/2`, "route_not_found"],
    ["/-/nothing", "route_not_found"],
    ["/-/", "route_not_found"],
    ["/-/KEYS", "route_not_found"],
    ["/-/1", "route_not_found"],
  ];
  for (const [path, code] of cases) {
    const response = await fetch(served.url + path);
    assert.equal(response.status, 404, path);
    const problem = await problemOf(response);
    assert.equal(problem.code, code, path);
    assert.equal(problem.applied, "no");
    assert.equal(problem.type, `urn:vss:error:${code}`);
  }
});

test("a delete answers how many versions went, and the next put is version 1", async () => {
  const key = freshKey();
  await put(key, "one");
  const etag = (await put(key, "two")).headers.get("etag");
  const remove = async (): Promise<unknown> => {
    const response = await fetch(`${served.url}/${key}`, { method: "DELETE" });
    assert.equal(response.status, 200);
    return response.json();
  };
  assert.deepEqual(await remove(), { versions: 2 });
  for (const path of [`/${key}`, `/${key}/1`, `/${key}/2`, `/${key}/versions`]) {
    assert.equal((await fetch(served.url + path)).status, 404, path);
  }
  assert.deepEqual(await remove(), { versions: 0 });
  const again = await put(key, "new");
  assert.equal(((await again.json()) as { version: number }).version, 1);
  await put(key, "newer");
  // Version 2 of another life of the key is another entry.
  assert.notEqual((await fetch(`${served.url}/${key}`)).headers.get("etag"), etag);
});

test("a body is stored as its bytes, whatever the Content-Type says", async () => {
  const bodies = [
    "plain",
    "a=b&c=%41+d",
    '{"broken": ',
    "",
    "\0\r\n\t",
    "é😀",
    '"quotes" \\ </script>',
  ];
  const types = [
    undefined,
    "application/x-www-form-urlencoded",
    "text",
    "application/json",
    "multipart/form-data",
    "application/json; charset=latin1",
    ";;;",
    "text/plain; charset=utf-16",
    "",
  ];
  for (const type of types) {
    for (const body of bodies) {
      const key = freshKey();
      const bytes = Buffer.from(body);
      const headers: Record<string, string> = type === undefined ? {} : { "content-type": type };
      const response = await put(key, bytes, headers);
      assert.equal(response.status, 200, `${type} ${body}`);
      assert.deepEqual(await getJson(`/${key}`), { value: body, version: 1 });
    }
  }
});

test("a value that is not UTF-8 travels as base64 in JSON, and as itself with ?raw", async () => {
  const all = Uint8Array.from({ length: 256 }, (_, index) => index);
  const bodies = [all, Uint8Array.of(0xff), Uint8Array.of(0xc3), Uint8Array.of(0xed, 0xa0, 0x80)];
  for (const bytes of bodies) {
    const key = freshKey();
    await put(key, bytes);
    assert.deepEqual(await getJson(`/${key}`), {
      value: Buffer.from(bytes).toString("base64"),
      encoding: "base64",
      version: 1,
    });
    const raw = await fetch(`${served.url}/${key}?raw`);
    assert.deepEqual(new Uint8Array(await raw.arrayBuffer()), bytes);
    assert.equal(raw.headers.get("content-type"), "application/octet-stream");
  }
});

test("a byte order mark and lone line ends survive", async () => {
  const key = freshKey();
  await put(key, "\uFEFFa\r\nb\rc\n");
  assert.deepEqual(await getJson(`/${key}`), { value: "\uFEFFa\r\nb\rc\n", version: 1 });
});

test("?raw answers with the stored type, never sniffed and in a sandbox", async () => {
  const cases: readonly (readonly [string | undefined, string])[] = [
    [undefined, "text/plain; charset=utf-8"],
    ["application/x-www-form-urlencoded", "text/plain; charset=utf-8"],
    ["text", "text/plain; charset=utf-8"],
    ["text/html", "text/html"],
    ["image/svg+xml; charset=utf-8", "image/svg+xml; charset=utf-8"],
  ];
  for (const [sent, answered] of cases) {
    const key = freshKey();
    await put(key, Buffer.from("<b>x</b>"), sent === undefined ? {} : { "content-type": sent });
    for (const path of [`/${key}?raw`, `/${key}/1?raw=true`]) {
      const response = await fetch(served.url + path);
      assert.equal(response.headers.get("content-type"), answered);
      assert.equal(response.headers.get("x-content-type-options"), "nosniff");
      assert.equal(response.headers.get("content-security-policy"), "sandbox");
      assert.equal(await response.text(), "<b>x</b>");
      const digest = createHash("sha256").update("<b>x</b>").digest("base64");
      assert.equal(response.headers.get("repr-digest"), `sha-256=:${digest}:`);
    }
    assert.deepEqual(await getJson(`/${key}?raw=false`), { value: "<b>x</b>", version: 1 });
  }
});

test("a HEAD tells of an entry what a GET would, and its metadata", async () => {
  const key = freshKey();
  await put(`${key}?author=J%C3%BCrgen&message=hello%20w%C3%B6rld%0Aagain`, "some value", {
    "content-type": "text/markdown",
  });
  for (const path of [`/${key}`, `/${key}/1`]) {
    const response = await fetch(served.url + path, { method: "HEAD" });
    assert.equal(response.status, 200);
    assert.equal(await response.text(), "");
    const { headers } = response;
    assert.equal(headers.get("content-type"), "application/json");
    assert.equal(headers.get("vss-version"), "1");
    assert.equal(headers.get("vss-size"), "10");
    assert.equal(headers.get("vss-content-type"), "text/markdown");
    assert.equal(headers.get("vss-author"), "J%C3%BCrgen");
    assert.equal(headers.get("vss-message"), encodeURIComponent("hello wörld\nagain"));
    assert.equal(
      headers.get("vss-digest"),
      createHash("sha256").update("some value").digest("hex"),
    );
    assert.match(headers.get("vss-created-at") ?? "", /^\d{4}-.*\.\d{3}Z$/);
    const get = await fetch(served.url + path);
    for (const name of ["etag", "last-modified", "cache-control", "content-type"]) {
      assert.equal(headers.get(name), get.headers.get(name), name);
    }
    const raw = await fetch(`${served.url}${path}?raw`, { method: "HEAD" });
    assert.equal(raw.headers.get("content-length"), "10");
    assert.equal(raw.headers.get("content-type"), "text/markdown");
  }
  for (const path of ["/never-put", `/${key}/2`, "/-/nothing"]) {
    const response = await fetch(served.url + path, { method: "HEAD" });
    assert.equal(response.status, 404, path);
    assert.equal(await response.text(), "");
  }
});

test("keys of every kind are told apart", async () => {
  const odd = [
    "a b",
    "a/b",
    "a%2Fb",
    "%",
    "123",
    "__proto__",
    "constructor",
    "é",
    "e\u0301",
    "😀",
    "A",
    "a",
    "a ",
    " a",
    "a;b",
    "a?b#c",
    "a+b",
    "versions",
    "--",
    "-a",
    "...",
    ".a",
    "\u007f",
    "\n",
    "x".repeat(512),
    "é".repeat(256),
  ];
  for (const key of odd) {
    const path = encodeURIComponent(key);
    const response = await put(path, `value of ${key}`);
    assert.equal(response.status, 200, key);
    assert.equal(((await response.json()) as { key: string }).key, key);
    assert.equal(response.headers.get("location"), `/${path}/1`);
  }
  for (const key of odd) {
    const path = encodeURIComponent(key);
    assert.deepEqual(await getJson(`/${path}`), { value: `value of ${key}`, version: 1 }, key);
    assert.deepEqual(await getJson(`/${path}/1`), { value: `value of ${key}`, version: 1 }, key);
  }
});

test("what can't be a key is a 400", async () => {
  const paths = ["%00", "a%00b", "x".repeat(513), "%C3%A9".repeat(257), "%FF", "-"];
  for (const path of paths) {
    for (const method of ["GET", "PUT", "DELETE", "HEAD"]) {
      const response = await fetch(`${served.url}/${path}`, { method });
      assert.equal(response.status, 400, `${method} ${path}`);
      if (method !== "HEAD") assert.equal((await problemOf(response)).code, "invalid_key");
    }
    const response = await fetch(`${served.url}/${path}/1`);
    assert.equal(response.status, path === "-" ? 404 : 400, path);
  }
});

test("values from empty to the limit come back as they were, and one byte more is refused", async () => {
  await using small = await serve({ maxValueBytes: 1_000_000 });
  for (const size of [0, 1, 65_535, 65_536, 65_537, 1_000_000]) {
    const bytes = randomBytes(size);
    const url = `${small.url}/size-${size}`;
    assert.equal((await fetch(url, { method: "PUT", body: bytes })).status, 200, String(size));
    const raw = await fetch(`${url}?raw`);
    assert.ok(bytes.equals(new Uint8Array(await raw.arrayBuffer())));
  }
  const response = await fetch(`${small.url}/big`, { method: "PUT", body: randomBytes(1_000_001) });
  assert.equal(response.status, 413);
  const problem = await problemOf(response);
  assert.equal(problem.code, "value_too_large");
  assert.equal(problem.limit, 1_000_000);
  assert.equal((await fetch(`${small.url}/big`)).status, 404);
});

test("a method that a path does not take is a 405 with Allow", async () => {
  const key = freshKey();
  await put(key, "v");
  const cases: readonly (readonly [string, string, string])[] = [
    ["POST", `/${key}`, "PUT, GET, HEAD, DELETE"],
    ["PATCH", `/${key}`, "PUT, GET, HEAD, DELETE"],
    ["OPTIONS", `/${key}`, "PUT, GET, HEAD, DELETE"],
    ["PROPFIND", `/${key}`, "PUT, GET, HEAD, DELETE"],
    ["QUERY", `/${key}`, "PUT, GET, HEAD, DELETE"],
    ["QUERY", `/${key}/restore`, "POST"],
    ["PUT", `/${key}/1`, "GET, HEAD"],
    ["DELETE", `/${key}/1`, "GET, HEAD"],
    ["POST", `/${key}/versions`, "GET, HEAD"],
    ["GET", `/${key}/restore`, "POST"],
    ["HEAD", `/${key}/restore`, "POST"],
    ["PUT", `/${key}/restore`, "POST"],
    ["GET", "/-/transactions", "POST"],
    ["PUT", "/-/keys", "GET, HEAD"],
    ["DELETE", "/", "GET, HEAD"],
    ["POST", "/-/livez", "GET, HEAD"],
  ];
  for (const [method, path, allow] of cases) {
    const response = await fetch(served.url + path, { method });
    assert.equal(response.status, 405, `${method} ${path}`);
    assert.equal(response.headers.get("allow"), allow, `${method} ${path}`);
    if (method !== "HEAD") assert.equal((await problemOf(response)).code, "method_not_allowed");
  }
  assert.deepEqual(await getJson(`/${key}`), { value: "v", version: 1 });
});

test("an unknown parameter writes nothing and is named", async () => {
  const key = freshKey();
  const requests: readonly (readonly [string, string])[] = [
    ["PUT", `/${key}?csa=0`],
    ["PUT", `/${key}?cas=0&x`],
    ["GET", `/${key}?rwa`],
    ["GET", `/${key}/1?at=2026-01-01T00:00:00Z`],
    ["DELETE", `/${key}?force`],
    ["GET", `/${key}/versions?offset=1`],
    ["GET", "/-/keys?perfix=a"],
    ["GET", "/-/livez?x"],
  ];
  for (const [method, path] of requests) {
    const response = await fetch(served.url + path, { method });
    assert.equal(response.status, 400, path);
    const problem = await problemOf(response);
    assert.equal(problem.code, "unknown_parameter");
    assert.match(path, new RegExp(`[?&]${problem.parameter}(=|$)`));
  }
  assert.equal((await fetch(`${served.url}/${key}`)).status, 404);
});
