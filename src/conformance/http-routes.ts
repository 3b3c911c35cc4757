import assert from "node:assert/strict";
import { hash } from "./build.ts";
import { jsonOf, problemOf, type HttpContext } from "./http-client.ts";
import { KEY_BYTES_MAX, VALUE_BYTES_CEILING } from "../limits.ts";

/** One test of the HTTP suite, as data. */
export interface HttpCase {
  readonly name: string;
  run(http: HttpContext): Promise<void>;
}

const CONTENT_TYPES: readonly (string | undefined)[] = [
  undefined,
  "",
  "text",
  ";;;",
  "application/json",
  "application/x-www-form-urlencoded",
  "multipart/form-data",
  "text/plain; charset=utf-16",
];

/** Keys as they are and as they travel. */
const ODD_KEYS: readonly [key: string, path: string][] = [
  ["a b", "a%20b"],
  ["a/b", "a%2Fb"],
  ["a/b", "a%2fb"],
  ["a%2Fb", "a%252Fb"],
  ["100%", "100%25"],
  ["a+b", "a+b"],
  ["a+b", "a%2Bb"],
  ["?q=1&r#s", "%3Fq=1&r%23s"],
  ["é", "%C3%A9"],
  ["e\u0301", "e%CC%81"],
  ["\u{1f600}", "%F0%9F%98%80"],
  ["\u0001\n\t\u007f", "%01%0A%09%7F"],
  ["__proto__", "__proto__"],
  ["constructor", "%63onstructor"],
  ["12345", "12345"],
  ["...", "..."],
  ["--", "--"],
  [" end ", "%20end%20"],
  ["<script>'\"", "%3Cscript%3E'%22"],
];

const BAD_SEGMENTS = ["%", "%zz", "%2", "%FF", "%C3%28", "%ED%A0%80", "%00", "a%00b", "-"];

/** Versions that are none: only a canonical positive integer is one. */
const NO_VERSIONS = [
  "0",
  "01",
  "+1",
  "%2B1",
  "-1",
  "1.0",
  "1e0",
  "0x1",
  "%201",
  "1%20",
  "٣",
  "99999999999999999999",
];

/** The four routes. */
export const routeCases: readonly HttpCase[] = [
  {
    name: "PUT answers the new version with its ETag and place, and GET returns it",
    async run(http) {
      const key = http.key();
      const reply = await http.send({ method: "PUT", path: `/${key}`, body: "hello" });
      assert.equal(reply.status, 200);
      const { createdAt, ...json } = jsonOf(reply);
      assert.deepEqual(json, { key, version: 1, digest: hash("hello") });
      assert.match(String(createdAt), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      assert.equal(reply.headers.location, `/${key}/1`);
      assert.match(reply.headers.etag ?? "", /^"[^".]+\.1"$/);
      await http.put(key, "world");
      assert.deepEqual(await http.json(`/${key}`), { value: "world", version: 2 });
      assert.deepEqual(await http.json(`/${key}/1`), { value: "hello", version: 1 });
      assert.deepEqual(await http.json(`/${key}/2`), { value: "world", version: 2 });
    },
  },
  {
    name: "GET answers 404 where the key or the version does not exist, or is no version",
    async run(http) {
      const key = http.key();
      problemOf(await http.send({ path: `/${key}` }), "key_not_found");
      problemOf(await http.send({ path: `/${key}/1` }), "version_not_found");
      await http.put(key, "one");
      problemOf(await http.send({ path: `/${key}/2` }), "version_not_found");
      for (const version of NO_VERSIONS) {
        const path = `/${key}/${version.startsWith("%") ? version : encodeURI(version)}`;
        problemOf(await http.send({ path }), "version_not_found", path);
      }
      problemOf(await http.send({ path: `/${key}/1/1` }), "route_not_found");
    },
  },
  {
    name: "DELETE answers 200 whatever was there, and leaves nothing",
    async run(http) {
      const key = http.key();
      assert.equal(await http.remove(key), 0);
      const before = await http.put(key, "one");
      await http.put(key, "two");
      assert.equal(await http.remove(key), 2);
      problemOf(await http.send({ path: `/${key}` }), "key_not_found");
      problemOf(await http.send({ path: `/${key}/1` }), "version_not_found");
      assert.equal(await http.remove(key), 0);
      const again = await http.put(key, "one");
      assert.equal(again.version, 1);
      assert.notEqual(again.etag, before.etag, "another life has another ETag");
    },
  },
  {
    name: "PUT stores the bytes of its body, whatever the Content-Type",
    async run(http) {
      const bodies = ["plain", "a=b&c=%41+d", '{"broken": ', "", "\0\r\n", "é\u{1f600}", "\ufeffx"];
      for (const type of CONTENT_TYPES) {
        const key = http.key();
        const headers: Record<string, string> = type === undefined ? {} : { "Content-Type": type };
        for (const [i, body] of bodies.entries()) {
          await http.put(key, body, headers);
          const json = await http.json(`/${key}`);
          assert.deepEqual(json, { value: body, version: i + 1 }, `${type}`);
        }
      }
    },
  },
  {
    name: "PUT takes a body without a Content-Length",
    async run(http) {
      const key = http.key();
      await http.put(key, "in chunks", { "Transfer-Encoding": "chunked" });
      assert.deepEqual(await http.json(`/${key}`), { value: "in chunks", version: 1 });
    },
  },
  {
    name: "GET answers what is not UTF-8 as base64, and ?raw the bytes themselves",
    async run(http) {
      const key = http.key();
      const bytes = Uint8Array.from({ length: 256 }, (_, i) => 255 - i);
      await http.put(key, bytes, { "Content-Type": "image/png" });
      const value = Buffer.from(bytes).toString("base64");
      assert.deepEqual(await http.json(`/${key}`), { value, encoding: "base64", version: 1 });
      for (const path of [`/${key}?raw`, `/${key}/1?raw`]) {
        const { status, headers, body } = await http.send({ path });
        assert.equal(status, 200);
        assert.ok(body.equals(bytes), "every byte");
        assert.equal(headers["content-type"], "image/png");
        assert.equal(headers["x-content-type-options"], "nosniff");
        assert.match(String(headers["content-security-policy"]), /\bsandbox\b/);
      }
      await http.put(key, bytes);
      const untyped = await http.send({ path: `/${key}?raw` });
      assert.equal(untyped.headers["content-type"], "application/octet-stream");
      await http.put(key, "<b>text</b>", { "Content-Type": "text" });
      const text = await http.send({ path: `/${key}?raw` });
      assert.equal(text.headers["content-type"], "text/plain; charset=utf-8");
    },
  },
  {
    name: "HEAD answers what GET would, without a body",
    async run(http) {
      const key = http.key();
      await http.put(key, "some value");
      for (const path of [`/${key}`, `/${key}/1`, `/${key}?raw`]) {
        const [get, head] = [await http.send({ path }), await http.send({ method: "HEAD", path })];
        assert.equal(head.status, 200);
        assert.equal(head.body.length, 0);
        for (const name of ["etag", "last-modified", "content-type"]) {
          assert.equal(head.headers[name], get.headers[name], `${name} of ${path}`);
          assert.notEqual(get.headers[name], undefined, `${name} of ${path}`);
        }
      }
      for (const path of [`/${http.key()}`, `/${key}/2`]) {
        assert.equal((await http.send({ method: "HEAD", path })).status, 404);
      }
    },
  },
  {
    name: "takes keys percent-encoded, decodes them once, and tells them apart",
    async run(http) {
      for (const [key, path] of ODD_KEYS) {
        await http.remove(path);
        const reply = await http.send({ method: "PUT", path: `/${path}`, body: `of ${key}` });
        assert.equal(reply.status, 200, path);
        const { key: answered, version } = jsonOf(reply);
        assert.deepEqual([answered, version], [key, 1], path);
        const canonical = encodeURIComponent(key);
        assert.deepEqual(await http.json(`/${canonical}`), { value: `of ${key}`, version: 1 });
        assert.deepEqual(await http.json(`/${path}/1`), { value: `of ${key}`, version: 1 });
        assert.equal(await http.remove(canonical), 1);
      }
    },
  },
  {
    name: "takes keys of up to 512 bytes, and answers 400 to what is none",
    async run(http) {
      const head = http.key();
      const longest = head.padEnd(KEY_BYTES_MAX, "k");
      await http.put(longest, "long");
      assert.equal(await http.remove(longest), 1);
      const wide = encodeURIComponent("\u{1f600}".repeat(KEY_BYTES_MAX / 4));
      await http.put(wide, "wide");
      assert.equal(await http.remove(wide), 1);
      for (const path of [...BAD_SEGMENTS, `${longest}k`, `${wide}k`]) {
        for (const method of ["GET", "PUT", "DELETE"]) {
          const reply = await http.send({ method, path: `/${path}` });
          problemOf(reply, "invalid_key", `${method} /${path.slice(0, 20)}`);
        }
      }
    },
  },
  {
    name: "answers 405 with Allow to a method that a route does not take",
    async run(http) {
      const key = http.key();
      await http.put(key, "one");
      for (const [method, path, allowed] of [
        ["POST", `/${key}`, ["GET", "HEAD", "PUT", "DELETE"]],
        ["PATCH", `/${key}`, ["GET", "HEAD", "PUT", "DELETE"]],
        ["PUT", `/${key}/1`, ["GET", "HEAD"]],
        ["DELETE", `/${key}/1`, ["GET", "HEAD"]],
      ] as const) {
        const reply = await http.send({ method, path, body: "x" });
        problemOf(reply, "method_not_allowed", `${method} ${path}`);
        const allow = new Set((reply.headers.allow ?? "").split(/,\s*/));
        for (const one of allowed) assert.ok(allow.has(one), `Allow names ${one}`);
        assert.ok(!allow.has(method));
      }
      assert.deepEqual(await http.json(`/${key}`), { value: "one", version: 1 });
    },
  },
  {
    name: "answers 413 with the limit to a body that is too large, and stores nothing",
    async run(http) {
      const key = http.key();
      const size = VALUE_BYTES_CEILING + 1;
      const reply = await http.send({
        method: "PUT",
        path: `/${key}`,
        headers: { "Content-Length": String(size), Expect: "100-continue" },
      });
      const problem = problemOf(reply, "value_too_large");
      const { limit } = problem;
      assert.ok(typeof limit === "number" && limit < size);
      problemOf(await http.send({ path: `/${key}` }), "key_not_found");
      const largest = new Uint8Array(limit).fill(0x61);
      await http.put(key, largest);
      const { body } = await http.send({ path: `/${key}?raw` });
      assert.ok(body.equals(largest), "the largest value comes back");
      assert.equal(await http.remove(key), 1);
    },
  },
  {
    name: "answers 400 to a query parameter that it does not know, and writes nothing",
    async run(http) {
      const key = http.key();
      const bad = ["csa=1", "RAW", "x", "cas=1&y=2"];
      for (const query of bad) {
        const reply = await http.send({ method: "PUT", path: `/${key}?${query}`, body: "x" });
        problemOf(reply, "unknown_parameter", query);
      }
      for (const cas of ["", "x", "-1", "1.5", "01", "99999999999999999999"]) {
        const reply = await http.send({ method: "PUT", path: `/${key}?cas=${cas}`, body: "x" });
        const problem = problemOf(reply, "invalid_parameter", `cas=${cas}`);
        assert.equal(problem["parameter"], "cas");
      }
      problemOf(await http.send({ path: `/${key}` }), "key_not_found");
    },
  },
  {
    name: "numbers parallel PUTs 1 to 50, every value once",
    async run(http) {
      const key = http.key();
      const writes = Array.from({ length: 50 }, (_, i) => http.put(key, `value ${i}`));
      const versions = (await Promise.all(writes)).map(({ version }) => version);
      assert.deepEqual(
        versions.toSorted((a, b) => a - b),
        versions.map((_, i) => i + 1),
      );
      for (const [i, version] of versions.entries()) {
        assert.deepEqual(await http.json(`/${key}/${version}`), { value: `value ${i}`, version });
      }
    },
  },
];
