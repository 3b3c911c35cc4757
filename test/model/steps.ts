import assert from "node:assert/strict";
import { assertBytes, put, requestId, transaction } from "../../src/conformance/build.ts";
import { keyAfter, type Key } from "../../src/key.ts";
import type {
  Condition,
  EntryInfo,
  Outcome,
  ReadResult,
  RequestId,
  Select,
  Store,
  StoreInfo,
  Transaction,
} from "../../src/store.ts";
import { infoOf, type Model, type Expected, type ModelEntry } from "./model.ts";
import type { Random } from "./random.ts";

/** What a run works on: the store, and the model that has to agree with it. */
export interface Run {
  readonly store: Store;
  readonly model: Model;
  readonly random: Random;
  /** All keys of the run, which nobody else writes. */
  readonly keys: readonly Key[];
  readonly transactions: StoreInfo["transactions"];
  /** Transactions that carried a request id, to send again. */
  readonly requests: { readonly request: RequestId; readonly sent: Transaction }[];
  values: number;
}

/** One random step, which fails where the store does not do as the model does. */
export async function step(run: Run): Promise<string> {
  const dice = run.random.below(100);
  if (dice < 55) return commitSome(run);
  if (dice < 80) return readSome(run);
  if (dice < 88) return listHistory(run);
  if (dice < 94) return listKeys(run);
  if (dice < 98) return trimKey(run);
  await run.store.maintain({ feedRetentionMs: 3_600_000 });
  return "maintain";
}

async function commitSome(run: Run): Promise<string> {
  const count = run.random.oneIn(4) ? 1 + run.random.below(8) : 1;
  const batch = Array.from({ length: count }, () => randomTransaction(run));
  const outcomes = await run.store.commit(batch);
  assert.equal(outcomes.length, batch.length);
  for (const [i, one] of batch.entries()) {
    assertOutcome(run, one, { outcome: outcomes[i], expected: run.model.commit(one) });
  }
  return `commit ${JSON.stringify(batch.map(brief))}`;
}

function brief({ request, conditions, puts, deletes, reads }: Transaction): object {
  return {
    request: request?.id,
    conditions,
    puts: puts.map(({ key, digest }) => [key, digest.slice(0, 8)]),
    deletes,
    reads,
  };
}

function randomTransaction(run: Run): Transaction {
  const { random, transactions } = run;
  const known = random.oneIn(12) ? run.requests.length : 0;
  if (known > 0) return replay(run);
  const several = transactions !== "one-key" && random.oneIn(4);
  const keys = random.some(run.keys, several ? 2 + random.below(4) : 1);
  const deletes = keys.filter(() => random.oneIn(several ? 5 : 8));
  const puts = keys.filter((key) => !deletes.includes(key) && !random.oneIn(6));
  const conditions = keys.filter(() => random.oneIn(3)).map((key) => randomCondition(run, key));
  const does = {
    conditions,
    puts: puts.map((key) => randomPut(run, key)),
    deletes,
    reads: keys.filter(() => random.oneIn(4)),
  };
  const isEmpty = Object.values(does).every((items) => items.length === 0);
  // Nobody asks for nothing under a request id.
  const request = random.oneIn(5) && !isEmpty ? requestId(random.id(), random.id()) : undefined;
  const sent = transaction({ ...does, request, incarnation: random.id() });
  if (request !== undefined) run.requests.push({ request, sent });
  return sent;
}

/** Sends an earlier request again, the same or another one under its id. */
function replay(run: Run): Transaction {
  const { random } = run;
  const { request, sent } = random.pick(run.requests);
  const again = { ...sent, incarnation: random.id() };
  if (!random.oneIn(3)) return again;
  return { ...again, request: { ...request, fingerprint: requestId(random.id()).fingerprint } };
}

function randomPut(run: Run, key: Key): Transaction["puts"][number] {
  const { random } = run;
  run.values += 1;
  const size = random.oneIn(20) ? 20_000 : random.below(40);
  const value = Buffer.concat([
    Buffer.from(`${run.values}:`),
    Buffer.alloc(size, random.below(256)),
  ]);
  return put(key, random.oneIn(15) ? new Uint8Array() : value, {
    contentType: random.oneIn(3) ? "text/x" : undefined,
    author: random.oneIn(3) ? "Zoë" : undefined,
    message: random.oneIn(3) ? `message ${run.values}` : undefined,
  });
}

function randomCondition(run: Run, key: Key): Condition {
  const { random, model } = run;
  const latest = model.latest(key);
  const version = Math.max(1, (latest?.version ?? 0) + (random.oneIn(4) ? 1 : 0));
  const incarnation = random.oneIn(5) ? "another" : (latest?.incarnation ?? "none");
  const entries = [{ incarnation, version }];
  switch (random.below(5)) {
    case 0:
      return { kind: "absent", key };
    case 1:
      return { kind: "present", key };
    case 2:
      return { kind: "version", key, version };
    case 3:
      return { kind: "entry", key, entries };
    default:
      return { kind: "not-entry", key, entries };
  }
}

/** Compares an outcome, and learns from it the times that only the store knows. */
function assertOutcome(
  run: Run,
  sentOne: Transaction,
  { outcome, expected }: { readonly outcome: Outcome | undefined; readonly expected: Expected },
): void {
  const what = JSON.stringify(brief(sentOne));
  assert.equal(outcome?.outcome, expected.outcome, what);
  if (outcome?.outcome === "conflict" && expected.outcome === "conflict") {
    assert.deepEqual(
      outcome.unmet.map(({ condition }) => condition),
      expected.unmet,
      what,
    );
  }
  if (outcome?.outcome !== "committed" || expected.outcome !== "committed") return;
  assert.equal(outcome.replayed, expected.replayed, what);
  assert.deepEqual(
    outcome.deletes.map(({ versions }) => versions),
    expected.deletes,
    what,
  );
  for (const [i, result] of outcome.puts.entries()) {
    const { incarnation, version } = result;
    assert.deepEqual({ incarnation, version }, expected.puts[i], what);
    if (!outcome.replayed) learnTime(run, sentOne.puts[i]?.key, result);
  }
  assert.equal(outcome.puts.length, expected.puts.length, what);
  for (const [i, entry] of expected.reads.entries()) assertRead(outcome.reads[i], entry, what);
}

function learnTime(
  { model }: Run,
  key: Key | undefined,
  { version, createdAt }: { readonly version: number; readonly createdAt: number },
): void {
  assert.ok(key !== undefined);
  const entry = model.read(key, { version });
  // A later transaction of the same batch may have deleted it; the model has not seen that one yet.
  assert.ok(typeof entry === "object");
  entry.createdAt = createdAt;
  const before = version > 1 ? model.read(key, { version: version - 1 }) : undefined;
  if (typeof before === "object") assert.ok(before.createdAt <= createdAt, "time goes forward");
}

async function readSome(run: Run): Promise<string> {
  const count = 1 + run.random.below(12);
  const queries = Array.from({ length: count }, () => {
    const key = run.random.pick(run.keys);
    return { key, select: randomSelect(run, key), value: !run.random.oneIn(3) };
  });
  const results = await run.store.read(queries);
  assert.equal(results.length, queries.length);
  for (const [i, query] of queries.entries()) {
    const expected = run.model.read(query.key, query.select);
    const result = results[i];
    const what = JSON.stringify(query);
    if (typeof result === "object" && !query.value) {
      assert.equal(result.value, undefined, what);
      assert.ok(typeof expected === "object", what);
      assertInfo(result, expected, what);
    } else if (
      expected === "trimmed" &&
      typeof query.select === "object" &&
      "asOf" in query.select
    ) {
      assert.ok(result === undefined || result === "trimmed", what);
    } else assertRead(result, expected, what);
  }
  return `read ${JSON.stringify(queries)}`;
}

function randomSelect({ random, model }: Run, key: Key): Select {
  const latest = model.latest(key);
  switch (random.below(3)) {
    case 0:
      return "latest";
    case 1:
      return { version: 1 + random.below((latest?.version ?? 0) + 2) };
    default: {
      const page = { order: "newest-first", before: undefined, limit: 1_000 } as const;
      const entries = model.history(key, page);
      const from = entries.length > 0 ? random.pick(entries).createdAt : 0;
      return { asOf: from + random.below(3) - 1 };
    }
  }
}

function assertRead(
  result: ReadResult,
  expected: ModelEntry | "trimmed" | undefined,
  what: string,
): void {
  if (typeof expected !== "object") {
    assert.equal(result, expected, what);
    return;
  }
  assert.ok(typeof result === "object", `${what}: expected version ${expected.version}`);
  assertInfo(result, expected, what);
  assertBytes(result.value, expected.value, what);
}

function assertInfo(actual: EntryInfo, expected: ModelEntry, what: string): void {
  const { incarnation, version, createdAt, size, digest, contentType, author, message } = actual;
  const info = { incarnation, version, createdAt, size, digest, contentType, author, message };
  assert.deepEqual(info, infoOf(expected), what);
}

async function listHistory(run: Run): Promise<string> {
  const { random } = run;
  const key = random.pick(run.keys);
  const limit = 1 + random.below(30);
  const bound = random.below((run.model.latest(key)?.version ?? 0) + 3);
  const page = random.oneIn(2)
    ? ({ order: "oldest-first", after: bound, limit } as const)
    : ({ order: "newest-first", before: bound === 0 ? undefined : bound, limit } as const);
  const listed = await run.store.history(key, page);
  const expected = run.model.history(key, page);
  const what = JSON.stringify({ key, page });
  assert.deepEqual(
    listed.map(({ version }) => version),
    expected.map(({ version }) => version),
    what,
  );
  for (const [i, entry] of expected.entries())
    assertInfo(listed[i] ?? assert.fail(what), entry, what);
  return `history ${what}`;
}

async function listKeys(run: Run): Promise<string> {
  const { random } = run;
  const [a, b] = random.some(run.keys, 2);
  assert.ok(a !== undefined && b !== undefined);
  const from = random.oneIn(2) ? a : keyAfter(a);
  const page = { from, to: b, limit: 1 + random.below(run.keys.length) };
  const listed = await run.store.keys(page);
  const expected = run.model.keys(page);
  const what = JSON.stringify(page);
  assert.deepEqual(
    listed.map(({ key }) => key),
    expected,
    what,
  );
  for (const info of listed) {
    assertInfo(info, run.model.latest(info.key) ?? assert.fail(what), what);
  }
  return `keys ${what}`;
}

async function trimKey(run: Run): Promise<string> {
  const { random, model } = run;
  const key = random.pick(run.keys);
  const latest = model.latest(key);
  const incarnation = random.oneIn(8) ? "another" : (latest?.incarnation ?? "none");
  const keepFrom = random.below((latest?.version ?? 0) + 3);
  const limit = 1 + random.below(10);
  const removed = await run.store.trim(key, incarnation, keepFrom, limit);
  const what = JSON.stringify({ key, incarnation, keepFrom, limit });
  assert.equal(removed, model.trim(key, incarnation, keepFrom, limit), what);
  return `trim ${what}`;
}
