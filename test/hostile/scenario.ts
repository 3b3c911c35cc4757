import type { Tally } from "./connection.ts";

/** The server that a scenario is to hurt. */
export interface Target {
  readonly port: number;
  readonly url: string;
  /** What was answered; the run compares it with what was expected. */
  readonly tally: Tally;
}

/** What a scenario found beside the counts. */
export interface Found {
  /** Sentences for the table. */
  readonly notes?: readonly string[];
  /** What was wrong; any fails the run. */
  readonly failures?: readonly string[];
}

export interface Scenario {
  readonly name: string;
  /** What is sent, with its numbers. */
  readonly sent: string;
  /** Where it must be another store than the one asked for. */
  readonly store?: "sqlite";
  /** Settings of the server, where they must be others than its own. */
  readonly args?: readonly string[];
  /** Every answer that is right. One that is not among these fails the run. */
  readonly expected: readonly string[];
  /** How much the server's memory may grow, and why that much. */
  readonly growth: { readonly mebibytes: number; readonly why: string };
  readonly run: (target: Target) => Promise<Found>;
}

export const MIB = 2 ** 20;

/** What V8 lets lie under a full load of short requests before it collects. */
export const GARBAGE_MIB = 128;
export const GARBAGE = `${GARBAGE_MIB} MiB of garbage not yet collected`;
