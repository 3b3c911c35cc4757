import assert from "node:assert/strict";
import { test } from "node:test";
import { open } from "../index.ts";

test("a history with values is that of the key as it is, where it was deleted meanwhile", async () => {
  for (const isPutAgain of [false, true]) {
    const state = await open("memory:");
    await state.put("k", "first life");
    const history = state.store.history.bind(state.store);
    let isFirst = true;
    state.store.history = async (...args) => {
      const found = await history(...args);
      if (isFirst) {
        isFirst = false;
        await state.delete("k");
        if (isPutAgain) await state.put("k", "second life");
      }
      return found;
    };
    const page = await state.history("k", { values: true });
    const values = page?.versions.map(({ value }) => String(value && Buffer.from(value)));
    assert.deepEqual(values, isPutAgain ? ["second life"] : undefined);
    await state.close();
  }
});
