import assert from "node:assert/strict";
import { test } from "node:test";
import type { Setting } from "../../store.ts";
import { judge, promiseOf } from "./settings.ts";

const GOOD = {
  innodb_flush_log_at_trx_commit: "1",
  innodb_doublewrite: "ON",
  log_bin: "ON",
  sync_binlog: "1",
  read_only: "OFF",
  max_allowed_packet: "67108864",
};

function weak(changes: Record<string, string>): readonly string[] {
  return settings(changes)
    .filter(({ verdict }) => verdict !== "ok")
    .map(({ name }) => name);
}

function settings(changes: Record<string, string>): readonly Setting[] {
  return judge(new Map(Object.entries({ ...GOOD, ...changes })));
}

test("a durable server has nothing to be said against it", () => {
  assert.deepEqual(weak({}), []);
  assert.deepEqual(weak({ innodb_flush_log_at_trx_commit: "3" }), []);
});

test("each setting by which a write can be lost is weak, and says what to set", () => {
  const cases: Record<string, string> = {
    innodb_flush_log_at_trx_commit: "2",
    innodb_doublewrite: "OFF",
    sync_binlog: "0",
    read_only: "ON",
    super_read_only: "ON",
    wsrep_on: "ON",
  };
  for (const [name, value] of Object.entries(cases)) {
    assert.deepEqual(weak({ [name]: value }), [name]);
    const setting = settings({ [name]: value }).find((one) => one.name === name);
    assert.match(setting?.advice ?? "", /\./);
  }
});

test("a binary log that is not flushed leaves commits to the system, as InnoDB leaves them to it", () => {
  const promise = (changes: Record<string, string>): string =>
    promiseOf(new Map(Object.entries({ ...GOOD, ...changes })));
  assert.match(promise({}), /survives a crash of the database and a power cut/);
  assert.match(promise({ sync_binlog: "0" }), /a power cut can lose/);
  assert.match(promise({ log_bin: "OFF", sync_binlog: "0" }), /and a power cut/);
});

test("a server without a binary log has no use for sync_binlog", () => {
  assert.deepEqual(weak({ log_bin: "OFF", sync_binlog: "0" }), []);
});

test("semi-synchronous replication that has fallen back is weak, under either name", () => {
  for (const role of ["master", "source"]) {
    const enabled = { [`rpl_semi_sync_${role}_enabled`]: "ON" };
    assert.deepEqual(weak({ ...enabled, [`rpl_semi_sync_${role}_status`]: "ON" }), []);
    assert.deepEqual(weak({ ...enabled, [`rpl_semi_sync_${role}_status`]: "OFF" }), [
      `rpl_semi_sync_${role}_status`,
    ]);
  }
});

test("a server that does not tell how it flushes is unknown", () => {
  const [setting] = judge(new Map());
  assert.deepEqual(
    [setting?.name, setting?.verdict],
    ["innodb_flush_log_at_trx_commit", "unknown"],
  );
});

test("packets too small for the largest value lose nothing, and are said all the same", () => {
  const setting = settings({ max_allowed_packet: "4194304" }).find(
    ({ name }) => name === "max_allowed_packet",
  );
  assert.equal(setting?.verdict, "ok");
  assert.match(setting?.advice ?? "", /Values above 4177920 bytes are refused/);
});
