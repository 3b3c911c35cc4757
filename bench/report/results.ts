import type { GroupName } from "../back-ends.ts";
import type { LoadName } from "../loads/load.ts";
import type { Round } from "../loads/measure.ts";
import type { ContenderName } from "../peers/contender.ts";

/** One contender under one load: what is a row of a table. */
export interface Cell {
  readonly group: GroupName;
  readonly contender: ContenderName;
  readonly load: LoadName;
  readonly connections: number;
  readonly valueBytes: number;
  /** Requests answered per second: the median of the rounds. */
  readonly rate: number;
  /** Of each round. Rounds of the contenders of a group were run in turns. */
  readonly rates: readonly number[];
  /** The median of the rounds' shares of the bare server's rate in the same round. */
  readonly share: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  /** Processor time of the contender's own process for a million requests, in seconds. */
  readonly cpuSecondsPerMillion: number;
  readonly peakMiB: number;
  /** Share of one core that the load generator took: near 1, it is the limit. */
  readonly generatorShare: number;
  readonly requests: number;
  readonly bodiesChecked: number;
  /** What went wrong, where a contender other than ours was wrong. */
  readonly faults: readonly string[];
}

export type CellName = Pick<Cell, "group" | "contender" | "load" | "connections" | "valueBytes">;

/** Puts the rounds of one contender together; `bareRates` are those of the bare server's rounds. */
export function toCell(
  name: CellName,
  rounds: readonly Round[],
  bareRates: readonly number[],
): Cell {
  const rates = rounds.map(rateOf);
  const sum = (of: (round: Round) => number): number =>
    rounds.reduce((total, round) => total + of(round), 0);
  const requests = sum(({ result }) => result.requests);
  const cpuUs = sum((round) => round.cpuUs);
  const generatorUs = sum(({ result }) => result.generatorCpuUs);
  return {
    ...name,
    rate: median(rates),
    rates,
    share: shareOf(rates, bareRates),
    p50Us: median(rounds.map(({ result }) => result.p50Us)),
    p99Us: median(rounds.map(({ result }) => result.p99Us)),
    p999Us: median(rounds.map(({ result }) => result.p999Us)),
    cpuSecondsPerMillion: requests === 0 ? 0 : cpuUs / requests,
    peakMiB: Math.max(...rounds.map(({ peakBytes }) => peakBytes)) / 2 ** 20,
    generatorShare: generatorUs / sum(({ result }) => result.durationUs),
    requests,
    bodiesChecked: sum((round) => round.bodiesChecked),
    faults: [...new Set(rounds.flatMap(({ fault }) => fault ?? []))],
  };
}

/** The median of the shares, round by round: a slow second of the machine cancels out. */
export function shareOf(rates: readonly number[], bareRates: readonly number[]): number {
  return median(rates.map((rate, round) => rate / (bareRates[round] ?? Number.NaN)));
}

/** Answers per second. */
export function rateOf({ result }: Pick<Round, "result">): number {
  return (result.requests * 1e6) / result.durationUs;
}

/** The middle of the values; of an even number of them, halfway between the two in the middle. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new Error("there is no median of nothing");
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? Number.NaN) + upper) / 2;
}

export function findCell(cells: readonly Cell[], name: Partial<CellName>): Cell | undefined {
  const wanted = Object.entries(name);
  return cells.find((cell) =>
    wanted.every(([field, value]) => cell[field as keyof CellName] === value),
  );
}
