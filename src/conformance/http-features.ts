import assert from "node:assert/strict";
import { hash } from "./build.ts";
import { jsonOf, problemOf, type HttpContext } from "./http-client.ts";
import type { HttpCase } from "./http-routes.ts";

type Headers = Readonly<Record<string, string>>;

/** Puts under a condition that holds, or that does not, and asserts which. */
async function putIf(
  http: HttpContext,
  path: string,
  headers: Headers,
  expected: { readonly version: number } | { readonly current: number },
): Promise<void> {
  const reply = await http.send({ method: "PUT", path, headers, body: "new" });
  const what = `${path} ${JSON.stringify(headers)}`;
  if ("version" in expected) {
    assert.equal(reply.status, 200, what);
    assert.equal(jsonOf(reply)["version"], expected.version, what);
    return;
  }
  const problem = problemOf(reply, "condition_failed", what);
  assert.equal(problem["current"], expected.current, what);
}

/** Conditions, idempotency, lists and what else lives beside the four routes. */
export const featureCases: readonly HttpCase[] = [
  {
    name: "answers 304 where the caller has the entry already",
    async run(http) {
      const key = http.key();
      const first = await http.put(key, "one");
      const { etag } = await http.put(key, "two");
      for (const tags of [etag, `W/${etag}`, `"x.1", ${etag}`, "*"]) {
        const headers = { "If-None-Match": tags };
        const reply = await http.send({ path: `/${key}`, headers });
        assert.equal(reply.status, 304, tags);
        assert.equal(reply.body.length, 0);
        assert.equal(reply.headers.etag, etag);
      }
      const stale = { "If-None-Match": first.etag };
      assert.equal((await http.send({ path: `/${key}`, headers: stale })).status, 200);
      assert.equal((await http.send({ path: `/${key}/1`, headers: stale })).status, 304);
      await http.remove(key);
      await http.put(key, "another life");
      assert.equal((await http.send({ path: `/${key}/1`, headers: stale })).status, 200);
    },
  },
  {
    name: "puts only where cas, If-Match and If-None-Match hold",
    async run(http) {
      const key = http.key();
      await putIf(http, `/${key}?cas=1`, {}, { current: 0 });
      await putIf(http, `/${key}`, { "If-Match": "*" }, { current: 0 });
      await putIf(http, `/${key}`, { "If-None-Match": "*" }, { version: 1 });
      await putIf(http, `/${key}`, { "If-None-Match": "*" }, { current: 1 });
      await putIf(http, `/${key}?cas=0`, {}, { current: 1 });
      await putIf(http, `/${key}?cas=1`, {}, { version: 2 });
      const { etag } = await http.put(key, "three");
      await putIf(http, `/${key}`, { "If-Match": etag.replace(".3", ".2") }, { current: 3 });
      await putIf(http, `/${key}`, { "If-Match": `W/${etag}` }, { current: 3 });
      await putIf(http, `/${key}`, { "If-Match": `"x.9", ${etag}` }, { version: 4 });
      await putIf(http, `/${key}`, { "If-Match": etag }, { current: 4 });
      const stale = { method: "DELETE", path: `/${key}`, headers: { "If-Match": etag } };
      problemOf(await http.send(stale), "condition_failed");
      problemOf(await http.send({ method: "DELETE", path: `/${key}?cas=3` }), "condition_failed");
      const removed = await http.send({ method: "DELETE", path: `/${key}?cas=4` });
      assert.deepEqual(jsonOf(removed), { versions: 4 });
      await putIf(http, `/${key}`, { "If-Match": etag }, { current: 0 });
    },
  },
  {
    name: "answers a repeated Idempotency-Key with the first outcome",
    async run(http) {
      const key = http.key();
      const headers = { "Idempotency-Key": `"${http.key()}"` };
      const call = { method: "PUT", path: `/${key}`, headers, body: "once" };
      const first = await http.send(call);
      await http.put(key, "someone else");
      const again = await http.send(call);
      assert.deepEqual(jsonOf(again), jsonOf(first));
      assert.equal(again.headers.etag, first.headers.etag);
      assert.equal(again.headers["idempotency-replayed"], "true");
      assert.equal(first.headers["idempotency-replayed"], undefined);
      assert.deepEqual(await http.json(`/${key}`), { value: "someone else", version: 2 });
      problemOf(await http.send({ ...call, body: "other" }), "request_id_reused");
    },
  },
  {
    name: "lists a history newest first, by pages, with what was sent with each version",
    async run(http) {
      const key = http.key();
      for (const value of ["a", "bb", "ccc"]) {
        const path = `/${key}?message=${value}%20%26&author=me`;
        const headers = { "Content-Type": "text/x" };
        assert.equal((await http.send({ method: "PUT", path, headers, body: value })).status, 200);
      }
      const page = await http.json(`/${key}/versions?limit=2`);
      assert.deepEqual([page["key"], page["next"]], [key, 2]);
      const [latest] = page["versions"] as readonly Record<string, unknown>[];
      assert.equal(latest?.["version"], 3);
      assert.deepEqual([latest["size"], latest["digest"]], [3, hash("ccc")]);
      assert.deepEqual([latest["contentType"], latest["author"]], ["text/x", "me"]);
      assert.deepEqual([latest["message"], latest["value"]], ["ccc &", undefined]);
      const rest = await http.json(`/${key}/versions?before=2&values=true`);
      assert.equal(rest["next"], undefined);
      const values = (rest["versions"] as readonly Record<string, unknown>[]).map(
        (one) => one["value"],
      );
      assert.deepEqual(values, ["a"]);
      for (const query of ["limit=0", "limit=1001", "limit=x", "before=0", "values=maybe"]) {
        const reply = await http.send({ path: `/${key}/versions?${query}` });
        assert.equal(problemOf(reply, "invalid_parameter")["parameter"], query.split("=")[0]);
      }
      problemOf(await http.send({ path: `/${http.key()}/versions` }), "key_not_found");
    },
  },
  {
    name: "lists keys by prefix and delimiter, in pages that follow next",
    async run(http) {
      const prefix = `${http.key()}/`;
      const ends = ["a", "b/1", "b/2", "c", "d/1"];
      for (const end of ends) await http.put(encodeURIComponent(prefix + end), end);
      const query = `/-/keys?prefix=${encodeURIComponent(prefix)}`;
      const all = await http.json(`${query}&values=true`);
      const keys = all["keys"] as readonly Record<string, unknown>[];
      assert.deepEqual(
        keys.map((one) => one["value"]),
        ends,
      );
      assert.deepEqual(
        keys.map((one) => one["version"]),
        ends.map(() => 1),
      );
      const seen: unknown[] = [];
      for (let next = ""; ;) {
        const reply = await http.send({ path: `${query}&delimiter=%2F&limit=1${next}` });
        const page = jsonOf(reply);
        seen.push(...(page["keys"] as { key: string }[]).map((one) => one.key));
        seen.push(...(page["prefixes"] as string[]));
        if (page["next"] === undefined) break;
        assert.match(String(reply.headers["link"]), /rel="next"/);
        assert.ok(typeof page["next"] === "string", "a cursor is a string");
        next = `&after=${encodeURIComponent(page["next"])}`;
        assert.ok(seen.length < 20, "the pages come to an end");
      }
      assert.deepEqual(
        seen,
        ["a", "b/", "c", "d/"].map((end) => prefix + end),
      );
    },
  },
  {
    name: "reads as of a time, by parameter and by Accept-Datetime",
    async run(http) {
      const key = http.key();
      const reply = await http.send({ method: "PUT", path: `/${key}`, body: "one" });
      const at = String(jsonOf(reply)["createdAt"]);
      assert.deepEqual(await http.json(`/${key}?at=${at}`), { value: "one", version: 1 });
      const path = `/${key}?at=2001-01-01T00:00:00Z`;
      assert.equal((await http.send({ path })).status, 404);
      const headers = { "Accept-Datetime": "Mon, 01 Jan 2001 00:00:00 GMT" };
      assert.equal((await http.send({ path: `/${key}`, headers })).status, 404);
      const wrong = await http.send({ path: `/${key}?at=yesterday` });
      assert.equal(problemOf(wrong, "invalid_parameter")["parameter"], "at");
    },
  },
  {
    name: "compares and restores versions",
    async run(http) {
      const key = http.key();
      await http.put(key, "one\n");
      await http.put(key, "two\n");
      const diff = await http.send({ path: `/${key}/diff?from=1&to=2` });
      assert.equal(diff.status, 200);
      assert.match(diff.body.toString(), /-one/);
      assert.match(diff.body.toString(), /\+two/);
      const restored = await http.send({ method: "POST", path: `/${key}/restore?version=1` });
      assert.equal(jsonOf(restored)["version"], 3);
      assert.deepEqual(await http.json(`/${key}`), { value: "one\n", version: 3 });
      const none = await http.send({ method: "POST", path: `/${key}/restore?version=9` });
      assert.equal(none.status, 404);
    },
  },
  {
    name: "takes a transaction as JSON, and names what was unmet",
    async run(http) {
      const key = http.key();
      const send = (body: unknown): ReturnType<HttpContext["send"]> =>
        http.send({
          method: "POST",
          path: "/-/transactions",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify(body),
        });
      const put = [{ key, value: "AAH/", encoding: "base64" }];
      const done = await send({ if: [{ key, version: 0 }], put, get: [key] });
      assert.equal(done.status, 200, done.body.toString());
      const { body } = await http.send({ path: `/${key}?raw` });
      assert.deepEqual([...body], [0, 1, 255]);
      const refused = await send({ if: [{ key, version: 0 }], put });
      assert.equal(problemOf(refused, "condition_failed")["current"], 1);
      problemOf(await send({ put: [{ key: "" }] }), "invalid_body");
      problemOf(await send("no object"), "invalid_body");
    },
  },
  {
    name: "says that it lives and is ready, and what it has",
    async run(http) {
      assert.equal((await http.send({ path: "/-/livez" })).status, 200);
      assert.equal((await http.send({ path: "/-/readyz" })).status, 200);
      const openapi = await http.json("/-/openapi.json");
      assert.match(String(openapi["openapi"]), /^3\.1\./);
      problemOf(await http.send({ path: "/-/nothing" }), "route_not_found");
      const root = await http.send({ path: "/", headers: { Accept: "application/json" } });
      assert.equal(root.status, 200);
    },
  },
];
