import assert from "node:assert/strict";
import { test } from "node:test";
import { nearest } from "./suggest.ts";
import { duration, size } from "./units.ts";

test("durations and sizes are written back as they were read", () => {
  for (const text of ["0", "250ms", "10s", "5m", "24h", "30d", "90s"]) {
    const read = duration.read(text);
    assert.ok(read.ok);
    const again = duration.read(duration.write(read.value));
    assert.deepEqual(again, read);
  }
  assert.deepEqual(duration.read("90s"), { ok: true, value: 90_000 });
  assert.equal(duration.write(86_400_000), "1d");
  assert.deepEqual(size.read("8mib"), { ok: true, value: 8_388_608 });
  assert.equal(size.write(1_536), "1536B");
});

test("an amount without a unit, or with an unknown one, is refused", () => {
  for (const text of ["10", "10 parsecs", "s", "-1s", "1e3s", ""]) {
    assert.equal(duration.read(text).ok, false, text);
  }
  assert.equal(size.read("8MB").ok, false);
});

test("the nearest word is found within a third of its letters, or none is", () => {
  const words = ["--port", "--store", "--store-timeout"];
  assert.equal(nearest("--sotre", words), "--store");
  assert.equal(nearest("--stor-timeout", words), "--store-timeout");
  assert.equal(nearest("--verbose", words), undefined);
});
