import type { Setting, StoreInfo } from "../../store.ts";
import { describeDisk } from "./file-system.ts";
import type { Facts } from "./protocol.ts";

/** SQLite's numbers for `PRAGMA synchronous`. */
const SYNCHRONOUS: readonly string[] = ["OFF", "NORMAL", "FULL", "EXTRA"];
const FULL = 2;

/** Says what the store promises, from what is in force and where the file lies. */
export async function describe(file: string, facts: Facts): Promise<StoreInfo> {
  const disk = await describeDisk(file);
  return {
    scheme: "sqlite",
    product: `SQLite ${facts.sqliteVersion}`,
    promise: toPromise(disk),
    settings: [...toSettings(facts), ...disk],
    // One thread writes, and one reads.
    writeLanes: 1,
    readLanes: 1,
    transactions: "any-keys",
    watch: "poll",
    shared: true,
  };
}

function toSettings({ journalMode, synchronous }: Facts): readonly Setting[] {
  return [
    { name: "journal_mode", value: journalMode, verdict: journalMode === "wal" ? "ok" : "weak" },
    {
      name: "synchronous",
      value: SYNCHRONOUS[synchronous] ?? String(synchronous),
      verdict: synchronous >= FULL ? "ok" : "weak",
    },
  ];
}

function toPromise(disk: readonly Setting[]): string {
  const weak = disk.find(({ name, verdict }) => name === "file_system" && verdict === "weak");
  if (weak === undefined) {
    return (
      "An acknowledged write is on the disk: it survives kill -9 of every process, and a loss of " +
      "power where the disk keeps what it was told to."
    );
  }
  return `An acknowledged write survives kill -9 of every process. ${weak.advice ?? ""}`.trim();
}
