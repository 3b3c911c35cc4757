import assert from "node:assert/strict";
import { hash } from "./build.ts";
import { passMoment, refused, valueText, type StateCase } from "./state-context.ts";
import type { StateApi } from "../api.ts";
import { AUTHOR_CHARS_MAX } from "../limits.ts";

/** Diff, restore and restoring a prefix. */
export const toolCases: readonly StateCase[] = [
  {
    name: "compares two versions as text",
    async run(context) {
      const { state } = context;
      const key = context.key();
      await state.put(key, "one\ntwo\nthree\n");
      const { createdAt: at } = await state.put(key, "one\n2\nthree\n");
      await passMoment(state, context.key(), at);
      await state.put(key, "one\n2\nthree\nfour\n");
      const diff = await state.diff(key, { from: { version: 1 }, to: { version: 2 } });
      assert.deepEqual([diff?.kind, diff?.from.version, diff?.to.version], ["text", 1, 2]);
      assert.equal(diff?.from.digest, hash("one\ntwo\nthree\n"));
      const lines = diff?.body.split("\n") ?? [];
      assert.ok(lines.includes("-two") && lines.includes("+2"), diff?.body);
      assert.ok(
        lines.some((line) => line.startsWith("@@")),
        "hunks, as in a unified diff",
      );
      const latest = await state.diff(key, { from: { version: 2 } });
      assert.equal(latest?.to.version, 3);
      assert.ok(latest?.body.split("\n").includes("+four"));
      const byTime = await state.diff(key, { from: { at }, to: { version: 3 } });
      assert.deepEqual([byTime?.from.version, byTime?.body], [2, latest?.body]);
      assert.ok(!(await state.diff(key, { from: { version: 3 } }))?.body.includes("@@"));
    },
  },
  {
    name: "compares JSON values as a patch, and refuses other ones",
    async run(context) {
      const { state } = context;
      const key = context.key();
      await state.put(key, '{"a":1,"b":[1,2],"c":null}');
      await state.put(key, '{"a":2,"b":[1,2,3],"d":"x"}');
      await state.put(key, "no json");
      const patch = await state.diff(key, {
        from: { version: 1 },
        to: { version: 2 },
        format: "json-patch",
      });
      assert.equal(patch?.kind, "json-patch");
      const paths = (JSON.parse(patch?.body ?? "[]") as { op: string; path: string }[]).map(
        ({ op, path }) => `${op} ${path}`,
      );
      assert.deepEqual(new Set(paths), new Set(["replace /a", "add /b/-", "remove /c", "add /d"]));
      const toText = { from: { version: 1 }, to: { version: 3 }, format: "json-patch" } as const;
      await refused("diff_unsupported", () => state.diff(key, toText));
    },
  },
  {
    name: "compares binary values by size and digest alone",
    async run(context) {
      const { state } = context;
      const key = context.key();
      await state.put(key, Uint8Array.of(0xff, 0xfe));
      await state.put(key, Uint8Array.of(0xff, 0xfe, 0xfd));
      const diff = await state.diff(key, { from: { version: 1 } });
      assert.deepEqual([diff?.kind, diff?.body], ["binary", ""]);
      assert.deepEqual([diff?.from.size, diff?.to.size], [2, 3]);
      assert.equal(await state.diff(key, { from: { version: 9 } }), undefined);
      assert.equal(await state.diff(key, { from: { version: 1 }, to: { version: 9 } }), undefined);
      assert.equal(await state.diff(context.key(), { from: { version: 1 } }), undefined);
    },
  },
  {
    name: "restores an old version as a new one, and says so",
    async run(context) {
      const { state } = context;
      const key = context.key();
      await state.put(key, "good", { contentType: "text/good", author: "a", message: "m" });
      await state.put(key, "bad");
      const answer = await state.restore(key, { from: { version: 1 }, author: "restorer" });
      assert.deepEqual([answer?.version, answer?.digest], [3, hash("good")]);
      const entry = await state.get(key);
      assert.equal(valueText(entry), "good");
      assert.deepEqual(
        [entry?.contentType, entry?.author, entry?.message],
        ["text/good", "restorer", "Restored from version 1"],
      );
      const own = await state.restore(key, { from: { version: 2 }, message: "back to bad" });
      assert.equal(own?.version, 4);
      assert.equal((await state.head(key))?.message, "back to bad");
      assert.equal(await state.restore(key, { from: { version: 9 } }), undefined);
      assert.equal(await state.restore(context.key(), { from: { version: 1 } }), undefined);
    },
  },
  {
    name: "restores what was the latest at a moment, under conditions, once per idempotency key",
    async run(context) {
      const { state } = context;
      const key = context.key();
      const { createdAt: at } = await state.put(key, "then");
      await passMoment(state, context.key(), at);
      await state.put(key, "now");
      const from = { at };
      await refused("condition_failed", () => state.restore(key, { from, cas: 1 }));
      const idempotencyKey = context.key();
      const first = await state.restore(key, { from, cas: 2, idempotencyKey });
      assert.deepEqual([first?.version, first?.replayed], [3, false]);
      const again = await state.restore(key, { from, cas: 2, idempotencyKey });
      assert.deepEqual([again?.version, again?.replayed], [3, true]);
      assert.equal(valueText(await state.get(key)), "then");
      assert.equal((await state.head(key))?.version, 3);
      const before = { at: at - 3_600_000 };
      assert.equal(await state.restore(key, { from: before }), undefined);
    },
  },
  {
    name: "answers a repeated restore with the first outcome, also once the key was deleted",
    async run(context) {
      const { state } = context;
      const key = context.key();
      await state.put(key, "first");
      const options = { from: { version: 1 }, idempotencyKey: context.key() };
      const first = await state.restore(key, options);
      assert.ok(first !== undefined);
      await state.put(key, "between");
      assert.deepEqual(await state.restore(key, options), { ...first, replayed: true });
      await state.delete(key);
      // Nothing is left that has the digest of what was written.
      const gone = { ...first, digest: "", replayed: true };
      assert.deepEqual(await state.restore(key, options), gone);
      assert.equal(await state.get(key), undefined, "the repeat wrote nothing");
      const other = { ...options, from: { version: 2 } };
      await refused("request_id_reused", () => state.restore(key, other));
      const fresh = { ...options, idempotencyKey: context.key() };
      assert.equal(await state.restore(key, fresh), undefined);
      await state.put(key, "another life");
      assert.deepEqual(await state.restore(key, options), gone);
      assert.equal((await state.head(key))?.version, 1);
    },
  },
  {
    name: "brings a prefix back to a moment, and first says what it would do",
    async run(context) {
      const { state } = context;
      const prefix = context.prefix();
      const at = await prefixOfThen(state, prefix, context.key());
      const plan = await state.restorePrefix({ prefix, at, dryRun: true });
      const expected = [
        { key: `${prefix}changed`, action: "put", from: 1 },
        { key: `${prefix}new`, action: "delete", from: undefined },
      ];
      const shown = ({ key, action, from }: (typeof plan.restored)[number]): object => ({
        key,
        action,
        from,
      });
      assert.deepEqual(plan.restored.map(shown), expected);
      assert.deepEqual([plan.unchanged, plan.conflicts, plan.next], [1, [], undefined]);
      assert.equal(valueText(await state.get(`${prefix}changed`)), "changed now");
      const done = await state.restorePrefix({ prefix, at, author: "restorer" });
      assert.deepEqual(done.restored.map(shown), expected);
      assert.deepEqual(
        done.restored.map(({ version }) => version),
        [3, undefined],
      );
      assert.equal(valueText(await state.get(`${prefix}changed`)), "changed then");
      assert.equal((await state.head(`${prefix}changed`))?.author, "restorer");
      assert.equal(await state.get(`${prefix}new`), undefined);
      assert.equal((await state.head(`${prefix}same`))?.version, 1);
      const again = await state.restorePrefix({ prefix, at });
      assert.deepEqual([again.restored, again.unchanged], [[], 2]);
    },
  },
  {
    name: "refuses to bring a prefix back by an author that no version can have, before any write",
    async run(context) {
      const { state } = context;
      const prefix = context.prefix();
      const at = await prefixOfThen(state, prefix, context.key());
      const author = "a".repeat(AUTHOR_CHARS_MAX + 1);
      await refused("invalid_parameter", () => state.restorePrefix({ prefix, at, author }));
      assert.equal(valueText(await state.get(`${prefix}new`)), "new", "it was not deleted");
    },
  },
  {
    name: "brings back no key outside of the prefix, whatever cursor it is given",
    async run(context) {
      const { state } = context;
      const prefix = context.prefix();
      for (const end of ["a", "b", "c"]) await state.put(`${prefix}${end}`, "x");
      // None of the keys existed then, so whatever is looked at is deleted.
      const back = { prefix: `${prefix}b`, at: 1 };
      const beyond = Buffer.from(`${prefix}c`).toString("base64url");
      assert.deepEqual((await state.restorePrefix({ ...back, after: beyond })).restored, []);
      // As a script sends it whose first round has no cursor yet.
      const { restored } = await state.restorePrefix({ ...back, after: "" });
      assert.deepEqual(
        restored.map(({ key }) => key),
        [`${prefix}b`],
      );
      const left = (await state.keys({ prefix })).keys.map(({ key }) => key.slice(prefix.length));
      assert.deepEqual(left, ["a", "c"]);
    },
  },
  {
    name: "brings a long prefix back in pages, each key once",
    async run(context) {
      const { state } = context;
      const prefix = context.prefix();
      const keys = Array.from({ length: 25 }, (_, i) => `${prefix}${String(i).padStart(2, "0")}`);
      await Promise.all(keys.map((key) => state.put(key, "then")));
      const infos = await Promise.all(keys.map((key) => state.head(key)));
      const at = Math.max(...infos.map((info) => info?.createdAt ?? 0));
      await passMoment(state, context.key(), at);
      await Promise.all(keys.map((key) => state.put(key, "now")));
      const restored: string[] = [];
      for (let after: string | undefined; ;) {
        const cursor = after === undefined ? {} : { after };
        const page = await state.restorePrefix({ prefix, at, limit: 10, ...cursor });
        assert.ok(page.restored.length <= 10);
        restored.push(...page.restored.map(({ key }) => key));
        if (page.next === undefined) break;
        after = page.next;
      }
      assert.deepEqual(restored, keys);
      const values = await Promise.all(keys.map((key) => state.get(key)));
      assert.deepEqual(new Set(values.map(valueText)), new Set(["then"]));
    },
  },
];

/** Makes a prefix with a key that changes, one that stays and one that is new after the moment. */
async function prefixOfThen(state: StateApi, prefix: string, clock: string): Promise<number> {
  await state.put(`${prefix}changed`, "changed then");
  const { createdAt: at } = await state.put(`${prefix}same`, "same");
  await passMoment(state, clock, at);
  await state.put(`${prefix}changed`, "changed now");
  await state.put(`${prefix}new`, "new");
  return at;
}
