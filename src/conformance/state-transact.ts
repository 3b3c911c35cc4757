import assert from "node:assert/strict";
import { refOf, refused, valueText, type StateCase } from "./state-context.ts";
import { TRANSACTION_ITEMS_MAX } from "../limits.ts";

/** Transactions over several keys. */
export const transactCases: readonly StateCase[] = [
  {
    name: "writes, deletes and reads several keys together",
    needs: "several-keys",
    async run(context) {
      const { state } = context;
      const [a = "", b = "", c = "", d = ""] = context.taggedKeys(4);
      const old = refOf(await state.put(a, "a1"));
      await state.put(b, "b1");
      await state.put(b, "b2");
      const answer = await state.transact({
        if: [
          { key: a, ifMatch: [old] },
          { key: b, cas: 2 },
          { key: d, cas: 0 },
        ],
        put: [
          { key: a, value: "a2", contentType: "text/x", author: "me", message: "together" },
          { key: c, value: Uint8Array.of(0xff, 0x00) },
        ],
        delete: [b, d],
        get: [a, b, d],
      });
      assert.deepEqual(
        answer.put.map(({ key, version }) => [key, version]),
        [
          [a, 2],
          [c, 1],
        ],
      );
      assert.equal(answer.put[0]?.incarnation, old.incarnation);
      assert.deepEqual(answer.deleted, [
        { key: b, versions: 2 },
        { key: d, versions: 0 },
      ]);
      assert.deepEqual(
        answer.get.map(({ key }) => key),
        [a, b, d],
      );
      assert.deepEqual(
        answer.get.map(({ entry }) => valueText(entry)),
        ["a1", "b2", undefined],
      );
      assert.equal(answer.replayed, false);
      const now = await state.get(a);
      assert.deepEqual([now?.contentType, now?.author, now?.message], ["text/x", "me", "together"]);
      assert.deepEqual((await state.get(c))?.value.length, 2);
      assert.equal(await state.get(b), undefined);
    },
  },
  {
    name: "writes nothing where one condition is unmet, and names each unmet one",
    needs: "several-keys",
    async run(context) {
      const { state } = context;
      const [a = "", b = "", c = ""] = context.taggedKeys(3);
      await state.put(a, "a1");
      await state.put(b, "b1");
      const error = await refused("condition_failed", () =>
        state.transact({
          if: [
            { key: a, cas: 1 },
            { key: b, cas: 5 },
            { key: c, ifMatch: "*" },
          ],
          put: [
            { key: a, value: "never" },
            { key: c, value: "never" },
          ],
          delete: [b],
        }),
      );
      const unmet = error.details["unmet"] as readonly { key: string; current: number }[];
      assert.deepEqual(
        unmet.map(({ key, current }) => [key, current]),
        [
          [b, 1],
          [c, 0],
        ],
      );
      const values = await Promise.all([a, b, c].map((key) => state.get(key)));
      assert.deepEqual(values.map(valueText), ["a1", "b1", undefined]);
    },
  },
  {
    name: "answers the first outcome of a transaction to the same idempotency key",
    async run(context) {
      const { state } = context;
      const key = context.key();
      const request = { put: [{ key, value: "once" }], idempotencyKey: context.key() };
      const first = await state.transact(request);
      await state.put(key, "someone else");
      const again = await state.transact(request);
      assert.deepEqual([first.replayed, again.replayed], [false, true]);
      assert.deepEqual(again.put[0]?.version, first.put[0]?.version);
      assert.equal((await state.head(key))?.version, 2);
      const other = { ...request, put: [{ key, value: "other" }] };
      await refused("request_id_reused", () => state.transact(other));
    },
  },
  {
    name: "takes a transaction over one key, whatever the back end",
    async run(context) {
      const { state } = context;
      const key = context.key();
      await state.put(key, "one");
      const answer = await state.transact({
        if: [{ key, cas: 1 }],
        put: [{ key, value: "two" }],
        get: [key],
      });
      assert.equal(answer.put[0]?.version, 2);
      assert.equal(valueText(answer.get[0]?.entry), "one");
      const read = await state.transact({ get: [key] });
      assert.equal(valueText(read.get[0]?.entry), "two");
    },
  },
  {
    name: "refuses keys that can't change together, and writes none of them",
    async run(context) {
      const { state, facts } = context;
      const keys = Array.from({ length: 6 }, () => context.key());
      const request = { put: keys.map((key) => ({ key, value: "together" })) };
      if (facts.transactions === "any-keys") {
        assert.equal((await state.transact(request)).put.length, 6);
        return;
      }
      await refused("transaction_unsupported", () => state.transact(request));
      for (const key of keys) assert.equal(await state.get(key), undefined);
      for (const key of keys) assert.equal((await state.put(key, "apart")).version, 1);
    },
  },
  {
    name: "refuses a transaction that says too much, the same twice, or nothing",
    async run(context) {
      const { state } = context;
      const key = context.key();
      const many = Array.from({ length: TRANSACTION_ITEMS_MAX + 1 }, (_, i) => `${key}${i}`);
      const requests = [
        {},
        {
          put: [
            { key, value: "a" },
            { key, value: "b" },
          ],
        },
        { put: [{ key, value: "a" }], delete: [key] },
        { delete: [key, key] },
        { put: many.map((one) => ({ key: one, value: "x" })) },
        { delete: many },
        { get: many },
        { if: many.map((one) => ({ key: one, cas: 0 })) },
        { if: [{ key }], put: [{ key, value: "a" }] },
      ];
      for (const [i, request] of requests.entries()) {
        await refused("invalid_body", () => state.transact(request), `request ${i}`);
      }
      assert.equal(await state.get(key), undefined);
    },
  },
];
