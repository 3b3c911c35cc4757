import assert from "node:assert/strict";
import { test } from "node:test";
import { ClientClosedError, ClientOfflineError, ErrorReply, SocketTimeoutError } from "redis";
import type { ErrorCode } from "../../errors.ts";
import { classify, isDenied, isPassing, toStateError } from "./classify.ts";

const REPLIES: readonly (readonly [reply: string, code: ErrorCode])[] = [
  ["OOM command not allowed when used memory > 'maxmemory'.", "store_full"],
  ["MISCONF Errors writing to the AOF file: No space left on device", "store_full"],
  ["READONLY You can't write against a read only replica.", "store_read_only"],
  ["NOREPLICAS Not enough good replicas to write.", "store_read_only"],
  ["NOAUTH Authentication required.", "store_denied"],
  ["WRONGPASS invalid username-password pair or user is disabled.", "store_denied"],
  ["NOPERM this user has no permissions to run the 'evalsha' command", "store_denied"],
  ["DENIED Redis is running in protected mode", "store_denied"],
  ["WRONGTYPE Operation against a key holding the wrong kind of value", "store_incompatible"],
  ["LOADING Redis is loading the dataset in memory", "store_unavailable"],
  ["CLUSTERDOWN The cluster is down", "store_unavailable"],
  ["BUSY Redis is busy running a script.", "store_unavailable"],
];

for (const [reply, code] of REPLIES) {
  test(`"${reply}" is ${code}, and nothing was written`, () => {
    const error = toStateError(classify(new ErrorReply(reply)), false);
    assert.equal(error.code, code);
    assert.equal(error.applied, "no");
    assert.match(error.message, /[Nn]othing was written/);
  });
}

test("an error inside a script is known by its own code, before Redis 7 too", () => {
  const old =
    "ERR Error running script (call to f_0a): @user_script:1: @user_script: 1: -OOM command not allowed";
  const failure = classify(new ErrorReply(old));
  assert.ok(failure.kind === "refused");
  assert.equal(failure.code, "OOM");
});

test("an error that is not known stays so, with its cause", () => {
  const cause = new ErrorReply("ERR something new");
  const error = toStateError(classify(cause), false);
  assert.equal(error.code, "internal");
  assert.equal(error.applied, "unknown");
  assert.equal(error.cause, cause);
});

test("what never left this process was not written; what was sent may have been", () => {
  for (const unsent of [new ClientOfflineError(), new ClientClosedError()]) {
    assert.equal(classify(unsent).kind, "unsent");
  }
  for (const lost of [new SocketTimeoutError(1), new Error("read ECONNRESET")]) {
    const failure = classify(lost);
    assert.equal(failure.kind, "lost");
    assert.equal(toStateError(failure, false).applied, "no", "of a read");
    assert.equal(toStateError(failure, true).code, "outcome_unknown", "of a commit");
  }
});

test("a WAIT that ends with the server's role says nothing of the write before it", () => {
  const reply = "UNBLOCKED force unblock from blocking operation, instance state changed";
  assert.equal(classify(new ErrorReply(reply)).kind, "lost");
});

test("only what passes by itself is tried again, and refused credentials are not", () => {
  for (const code of ["LOADING", "TRYAGAIN", "MOVED", "ASK", "READONLY"])
    assert.ok(isPassing(code));
  for (const code of ["OOM", "ERR"]) assert.ok(!isPassing(code));
  assert.ok(isDenied(classify(new ErrorReply("NOAUTH Authentication required."))));
  assert.ok(!isDenied(classify(new ErrorReply("LOADING"))));
});
