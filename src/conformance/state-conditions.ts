import assert from "node:assert/strict";
import { refOf, refused, valueText, type StateCase } from "./state-context.ts";
import type { Conditions, StateApi } from "../api.ts";
import type { StateError } from "../errors.ts";

/** Every condition, and whether it holds for a key at version 2 of this incarnation. */
function conditionsAt2(incarnation: string): readonly [Conditions, boolean][] {
  const same = { incarnation, version: 2 };
  const older = { incarnation, version: 1 };
  const foreign = { incarnation: `${incarnation.slice(1)}x`, version: 2 };
  return [
    [{ cas: 2 }, true],
    [{ cas: 1 }, false],
    [{ cas: 3 }, false],
    [{ cas: 0 }, false],
    [{ ifMatch: "*" }, true],
    [{ ifMatch: [same] }, true],
    [{ ifMatch: [older] }, false],
    [{ ifMatch: [foreign] }, false],
    [{ ifMatch: [older, same] }, true],
    [{ ifNoneMatch: "*" }, false],
    [{ ifNoneMatch: [same] }, false],
    [{ ifNoneMatch: [older, foreign] }, true],
    [{ cas: 2, ifMatch: [same], ifNoneMatch: [older] }, true],
    [{ cas: 2, ifMatch: [older] }, false],
    [{ cas: 1, ifMatch: [same] }, false],
  ];
}

const ON_NONE: readonly [Conditions, boolean][] = [
  [{ cas: 0 }, true],
  [{ cas: 1 }, false],
  [{ ifMatch: "*" }, false],
  [{ ifMatch: [{ incarnation: "x", version: 1 }] }, false],
  [{ ifNoneMatch: "*" }, true],
  [{ ifNoneMatch: [{ incarnation: "x", version: 1 }] }, true],
];

/** What a refusal says the latest version was: a number, and the ETag where there is one. */
function assertCurrent(
  error: StateError,
  current: { incarnation: string; version: number } | undefined,
): void {
  assert.equal(error.details["current"], current?.version ?? 0);
  const etag = current && `"${current.incarnation}.${current.version}"`;
  assert.equal(error.details["currentEtag"], etag);
}

async function atVersion2(
  state: StateApi,
  key: string,
): Promise<{ incarnation: string; version: number }> {
  await state.put(key, "one");
  return refOf(await state.put(key, "two"));
}

/** Conditions and idempotency of single writes. */
export const stateConditionCases: readonly StateCase[] = [
  {
    name: "puts only where its conditions hold, and says what was there instead",
    async run(context) {
      const { state } = context;
      for (let i = 0; i < 15; i += 1) {
        const key = context.key();
        const current = await atVersion2(state, key);
        const [conditions, holds] = conditionsAt2(current.incarnation)[i] ?? assert.fail();
        const put = (): Promise<{ version: number }> => state.put(key, "three", conditions);
        if (holds) assert.equal((await put()).version, 3, JSON.stringify(conditions));
        else
          assertCurrent(
            await refused("condition_failed", put, JSON.stringify(conditions)),
            current,
          );
        assert.equal(valueText(await state.get(key)), holds ? "three" : "two");
      }
    },
  },
  {
    name: "puts a key that does not exist only where its conditions hold",
    async run(context) {
      const { state } = context;
      for (const [conditions, holds] of ON_NONE) {
        const key = context.key();
        const put = (): Promise<{ version: number }> => state.put(key, "new", conditions);
        if (holds) assert.equal((await put()).version, 1, JSON.stringify(conditions));
        else
          assertCurrent(
            await refused("condition_failed", put, JSON.stringify(conditions)),
            undefined,
          );
        assert.equal(valueText(await state.get(key)), holds ? "new" : undefined);
      }
    },
  },
  {
    name: "deletes only where its conditions hold",
    async run(context) {
      const { state } = context;
      for (let i = 0; i < 15; i += 1) {
        const key = context.key();
        const current = await atVersion2(state, key);
        const [conditions, holds] = conditionsAt2(current.incarnation)[i] ?? assert.fail();
        const remove = (): Promise<{ versions: number }> => state.delete(key, conditions);
        if (holds) assert.deepEqual(await remove(), { versions: 2 });
        else assertCurrent(await refused("condition_failed", remove), current);
        assert.equal((await state.get(key)) === undefined, holds, JSON.stringify(conditions));
      }
    },
  },
  {
    name: "does not match the entry of an earlier life",
    async run(context) {
      const { state } = context;
      const key = context.key();
      const before = refOf(await state.put(key, "first life"));
      await state.delete(key);
      await state.put(key, "second life");
      await refused("condition_failed", () => state.put(key, "lost update", { ifMatch: [before] }));
      assert.equal((await state.put(key, "fine", { ifNoneMatch: [before] })).version, 2);
    },
  },
  {
    name: "lets one of fifty conditional writers win each round",
    async run(context) {
      const { state } = context;
      const key = context.key();
      for (let cas = 0; cas < 3; cas += 1) {
        const race = Array.from({ length: 50 }, (_, i) => state.put(key, `${cas}/${i}`, { cas }));
        const settled = await Promise.allSettled(race);
        const won = settled.flatMap((one, i) => (one.status === "fulfilled" ? [i] : []));
        assert.equal(won.length, 1);
        assert.equal(valueText(await state.get(key)), `${cas}/${won[0]}`);
      }
    },
  },
  {
    name: "answers the first outcome to the same idempotency key, here and elsewhere",
    async run(context) {
      const { state } = context;
      const other = await context.open();
      const key = context.key();
      const idempotencyKey = `id, "${context.key()}" \\`;
      const first = await state.put(key, "once", { idempotencyKey, cas: 0 });
      await state.put(key, "someone else");
      const again = await other.put(key, "once", { idempotencyKey, cas: 0 });
      assert.deepEqual(again, { ...first, replayed: true });
      assert.equal((await state.head(key))?.version, 2);
      const raced = `raced ${idempotencyKey}`;
      const race = [state, other, state, other].map((one) =>
        one.put(key, "raced", { idempotencyKey: raced }),
      );
      const answers = await Promise.all(race);
      assert.deepEqual(
        answers.map(({ version }) => version),
        [3, 3, 3, 3],
      );
      assert.equal(answers.filter(({ replayed }) => !replayed).length, 1);
    },
  },
  {
    name: "refuses an idempotency key that was used for something else",
    async run(context) {
      const { state } = context;
      const [key, other] = [context.key(), context.key()];
      const idempotencyKey = context.key();
      await state.put(key, "once", { idempotencyKey });
      const others = [
        () => state.put(key, "twice", { idempotencyKey }),
        () => state.put(key, "once", { idempotencyKey, cas: 1 }),
        () => state.put(key, "once", { idempotencyKey, message: "m" }),
        () => state.put(key, "once", { idempotencyKey, contentType: "text/x" }),
      ];
      for (const call of others) await refused("request_id_reused", call);
      assert.equal((await state.head(key))?.version, 1);
      assert.equal((await state.put(other, "twice", { idempotencyKey })).replayed, false);
    },
  },
  {
    name: "does not remember a refusal under an idempotency key",
    async run(context) {
      const { state } = context;
      const key = context.key();
      const options = { idempotencyKey: context.key(), cas: 1 };
      await refused("condition_failed", () => state.put(key, "two", options));
      await state.put(key, "one");
      const answer = await state.put(key, "two", options);
      assert.deepEqual([answer.version, answer.replayed], [2, false]);
    },
  },
];
