import type { DatabaseSync, StatementSync } from "node:sqlite";
import { parentPort, workerData, type MessagePort } from "node:worker_threads";

import { StateError, type Applied } from "../../errors.ts";
import { appliedByFailedCommit, classify, describeCause, lockedError } from "./classify.ts";
import { Committer } from "./committer.ts";
import { Maintenance } from "./maintenance.ts";
import {
  beginCommit,
  type Answer,
  type Call,
  type Failure,
  type Message,
  type Turn,
  type WriterData,
} from "./protocol.ts";
import { assertInPlace, setUp } from "./setup.ts";
import { packOutcomes, unpackTransactions } from "./wire.ts";
import { WriteLock } from "./write-lock.ts";

/**
 * The thread that writes. A commit waits for the disk and so blocks its thread; here it holds up no
 * request. It answers a call only after COMMIT has returned.
 */
class WriterThread {
  readonly #db: DatabaseSync;
  readonly #commit: StatementSync;
  readonly #rollback: StatementSync;
  readonly #lock: WriteLock;
  readonly #committer: Committer;
  readonly #maintenance: Maintenance;
  readonly #assertInPlace: () => void;

  constructor(db: DatabaseSync, inPlace: () => void) {
    this.#db = db;
    this.#assertInPlace = inPlace;
    this.#commit = db.prepare("COMMIT");
    this.#rollback = db.prepare("ROLLBACK");
    this.#lock = new WriteLock(db);
    this.#committer = new Committer(db);
    this.#maintenance = new Maintenance(db);
  }

  run({ job, turn }: Call): Answer {
    switch (job.kind) {
      case "commit": {
        const transactions = unpackTransactions(job.batch);
        return packOutcomes(this.#write(turn, () => this.#committer.apply(transactions, job.now)));
      }
      case "trim":
        return this.#write(turn, () => this.#maintenance.trim(job));
      case "maintain":
        return this.#write(turn, () => this.#maintenance.step(job.now, job.feedRetentionMs));
      case "ping":
        this.#assertInPlace();
        return 0;
      case "close":
        // The last connection of all moves the whole log into the file and removes it.
        this.#db.close();
        return 0;
    }
  }

  /** Runs `work` in a write transaction. Throws a `StateError` that tells whether it may be applied. */
  #write<Result>(turn: Turn, work: () => Result): Result {
    let onFailure: (error: unknown) => Applied = () => "no";
    try {
      if (!this.#lock.acquire(turn)) throw lockedError();
      this.#assertInPlace();
      const result = work();
      if (!beginCommit(turn)) throw lockedError();
      onFailure = appliedByFailedCommit;
      this.#commit.run();
      return result;
    } catch (error) {
      const failure = classify(error, onFailure(error));
      // Where even this fails, the thread ends, and the next call starts another.
      if (this.#db.isTransaction) this.#rollback.run();
      throw failure;
    } finally {
      this.#lock.released();
    }
  }
}

function serve(port: MessagePort, data: WriterData): void {
  const send = (message: Message, transfer: ArrayBuffer[] = []): void => {
    port.postMessage(message, transfer);
  };
  let writer: WriterThread;
  try {
    const { db, facts } = setUp(data);
    writer = new WriterThread(db, () => assertInPlace(data.file, facts.identity));
    send({ kind: "ready", facts });
  } catch (error) {
    send({ kind: "unopened", failure: toFailure(classify(error)) });
    port.close();
    return;
  }
  port.on("message", (call: Call) => {
    const { id, job } = call;
    try {
      const answer = writer.run(call);
      const transfer = typeof answer === "number" ? [] : [answer.bytes.buffer];
      send({ kind: "answer", id, answer }, transfer);
      if (job.kind === "close") port.close();
    } catch (error) {
      if (!(error instanceof StateError)) throw error;
      send({ kind: "failure", id, failure: toFailure(error) });
    }
  });
}

function toFailure({ code, message, applied, cause }: StateError): Failure {
  return { code, message, applied, cause: describeCause(cause) };
}

if (parentPort === null) throw new Error("this module runs in a worker thread");
serve(parentPort, workerData as WriterData);
