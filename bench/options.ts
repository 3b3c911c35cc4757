import { parseArgs } from "node:util";
import { LOAD_NAMES, type LoadName } from "./loads/load.ts";

export const STORE_NAMES = ["memory", "sqlite", "redis", "mariadb", "mongodb"] as const;
export type StoreName = (typeof STORE_NAMES)[number];

/** What is measured besides single requests under load. */
export const EXTRA_NAMES = ["peers", "watch", "matrix", "workers", "growth"] as const;
export type ExtraName = (typeof EXTRA_NAMES)[number];

export interface BenchOptions {
  readonly loads: readonly LoadName[];
  readonly stores: readonly StoreName[];
  readonly extras: readonly ExtraName[];
  readonly connections: readonly number[] | undefined;
  readonly sizes: readonly number[] | undefined;
  readonly seconds: number;
  readonly rounds: number;
  /** The revisions to compare: one with the working tree, or two with each other. */
  readonly compare: readonly string[];
  /** Where the result goes as JSON, beside docs/ where the run is a whole one. */
  readonly json: string | undefined;
  /** An earlier result to compare with. */
  readonly against: string | undefined;
  readonly help: boolean;
}

export const USAGE = `npm run bench -- [options]

Starts back ends, our server, a bare node:http server, servers written by hand and peers on loopback,
loads them with wrk and prints what each took. Without options it takes about 12 minutes and writes
docs/benchmarks.md; --only matrix, workers or growth writes another part of that page. Any option that
narrows a part only prints it.

  --only get,put,…      loads: ${LOAD_NAMES.join(", ")}; and ${EXTRA_NAMES.join(", ")}
  --stores a,b,…        stores: ${STORE_NAMES.join(", ")} (mysql means mariadb)
  --seconds N           length of one round (1)
  --rounds N            rounds of each load (3)
  --connections 1,64    connections at once (64; GET and PUT also with 1)
  --sizes 100,1024      bytes of a value (100)

  peers                 etcd and NATS (measured unless told otherwise)
  watch                 one writer, 1 to 2,000 watchers (measured unless told otherwise)
  matrix                GET and PUT at every size and number of connections; about 8 minutes
  workers               GET and PUT with two server processes behind one port; about 3 minutes
  growth                up to a million keys, and versions of one key; about 35 minutes

  --compare REV [REV]   compares a revision with the working tree, or two revisions
  --json FILE           writes the result there as well
  --against FILE        prints the ratio to an earlier result
  --help                prints this
`;

/** The others take longer than all of this together, and are asked for. */
const DEFAULT_EXTRAS: ReadonlySet<ExtraName> = new Set(["peers", "watch"]);

/** A mistake on the command line; the message is all there is to say. */
export class OptionsError extends Error {}

export function parseOptions(argv: readonly string[]): BenchOptions {
  const { values, positionals } = readArguments(argv);
  const compare = values.compare === undefined ? [] : [values.compare, ...positionals];
  if (compare.length > 2 || (values.compare === undefined && positionals.length > 0)) {
    throw new OptionsError(`Unexpected argument "${positionals.at(-1)}". See --help.`);
  }
  const only = values.only === undefined ? undefined : names(values.only, ONLY_NAMES, "--only");
  const stores = (values.stores ?? STORE_NAMES.join(",")).replaceAll("mysql", "mariadb");
  return {
    loads: LOAD_NAMES.filter((name) => only?.includes(name) ?? true),
    stores: names(stores, STORE_NAMES, "--stores"),
    extras: EXTRA_NAMES.filter((name) => only?.includes(name) ?? DEFAULT_EXTRAS.has(name)),
    connections:
      values.connections === undefined ? undefined : numbers(values.connections, "--connections"),
    sizes: values.sizes === undefined ? undefined : numbers(values.sizes, "--sizes"),
    seconds: oneNumber(values.seconds ?? "1", "--seconds"),
    rounds: oneNumber(values.rounds ?? "3", "--rounds"),
    compare,
    json: values.json,
    against: values.against,
    help: values.help ?? false,
  };
}

/** Whether the run measures whole parts of the page, so that they may be written. */
export function isWhole(options: BenchOptions): boolean {
  const { loads, stores, connections, sizes, extras } = options;
  if (stores.length < STORE_NAMES.length || connections !== undefined || sizes !== undefined) {
    return false;
  }
  if (loads.length === 0) return !extras.includes("peers");
  return loads.length === LOAD_NAMES.length && extras.includes("peers") && extras.includes("watch");
}

const ONLY_NAMES = [...LOAD_NAMES, ...EXTRA_NAMES] as const;

function readArguments(argv: readonly string[]): ReturnType<typeof parseKnown> {
  try {
    return parseKnown(argv);
  } catch (error) {
    throw new OptionsError(
      `${error instanceof Error ? error.message : String(error)} See --help.`,
      {
        cause: error,
      },
    );
  }
}

const STRING = { type: "string" } as const;
const BOOLEAN = { type: "boolean" } as const;

function parseKnown(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      only: STRING,
      stores: STRING,
      seconds: STRING,
      rounds: STRING,
      connections: STRING,
      sizes: STRING,
      compare: STRING,
      json: STRING,
      against: STRING,
      help: BOOLEAN,
    },
  });
}

function names<T extends string>(list: string, known: readonly T[], flag: string): readonly T[] {
  const wanted = list.split(",").filter((name) => name !== "");
  const unknown = wanted.find((name) => !known.some((one) => one === name));
  if (unknown !== undefined || wanted.length === 0) {
    throw new OptionsError(`${flag} takes ${known.join(", ")}; not "${unknown ?? list}".`);
  }
  return known.filter((name) => wanted.includes(name));
}

function numbers(list: string, flag: string): readonly number[] {
  return list.split(",").map((text) => oneNumber(text, flag));
}

/** wrk takes whole seconds, and nothing here is ever zero. */
function oneNumber(text: string, flag: string): number {
  if (!/^[1-9]\d*$/.test(text)) {
    throw new OptionsError(`${flag} takes whole numbers from 1; not "${text}".`);
  }
  return Number(text);
}
