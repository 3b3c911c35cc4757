import assert from "node:assert/strict";
import { test } from "node:test";
import type { ErrorCode } from "../../errors.ts";
import { StateError } from "../../errors.ts";
import {
  classify,
  ConnectError,
  isPermanent,
  isRetryable,
  LostConnectionError,
  mayHaveCommitted,
} from "./classify.ts";

/** An error as the driver makes it from a server's error packet. */
function serverError(errno: number): Error {
  return Object.assign(new Error("secret detail"), { errno, sqlState: "HY000", code: "ER_SOME" });
}

const expected: readonly (readonly [number, ErrorCode])[] = [
  [1021, "store_full"],
  [1114, "store_full"],
  [1290, "store_read_only"],
  [1836, "store_read_only"],
  [1044, "store_denied"],
  [1045, "store_denied"],
  [1142, "store_denied"],
  [1153, "value_too_large"],
  [1146, "store_incompatible"],
  [1040, "store_unavailable"],
  [1205, "store_unavailable"],
  [99_999, "store_unavailable"],
];

for (const [errno, code] of expected) {
  test(`server error ${errno} becomes ${code}, without the server's own words`, () => {
    const error = classify(serverError(errno));
    assert.deepEqual([error.code, error.applied], [code, "no"]);
    assert.ok(!error.message.includes("secret"));
    assert.ok(error.cause instanceof Error);
  });
}

test("a refused connection is classified by the reason of its refusal", () => {
  const denied = new ConnectError("no connection", { cause: serverError(1045) });
  assert.equal(classify(denied).code, "store_denied");
  const refused = Object.assign(new Error("refused"), { code: "ECONNREFUSED", errno: -111 });
  assert.equal(classify(new ConnectError("none", { cause: refused })).code, "store_unavailable");
});

test("an unknown outcome is said to be one, whatever it came from", () => {
  const error = classify(new LostConnectionError("lost"), "unknown");
  assert.deepEqual([error.code, error.applied], ["outcome_unknown", "unknown"]);
});

test("a failure that is already one of ours stays as it is", () => {
  const error = new StateError("cursor_expired", "old");
  assert.equal(classify(error), error);
});

test("lost races and lost connections are worth another attempt, refusals are not", () => {
  for (const errno of [1020, 1062, 1180, 1205, 1213, 1690, 8002, 8022, 9007]) {
    assert.ok(isRetryable(serverError(errno)), String(errno));
  }
  assert.ok(isRetryable(new LostConnectionError("lost")));
  for (const errno of [1045, 1114, 1290, 1064]) assert.ok(!isRetryable(serverError(errno)));
  assert.ok(!isRetryable(new Error("a mistake of ours")));
});

test("only what can be the answer to a COMMIT leaves it open whether it was carried out", () => {
  assert.ok(mayHaveCommitted(new LostConnectionError("lost")));
  for (const errno of [1053, 1180, 1927]) assert.ok(mayHaveCommitted(serverError(errno)));
  for (const errno of [1062, 1205, 1213, 1690, 1114]) {
    assert.ok(!mayHaveCommitted(serverError(errno)));
  }
});

test("waiting mends a database that is away, and no password", () => {
  assert.ok(isPermanent(classify(serverError(1045))));
  assert.ok(!isPermanent(classify(serverError(1040))));
});
