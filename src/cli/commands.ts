import type { SettingName, Settings } from "./config.ts";
import { leaveAProcessorToServing } from "./threads.ts";

/** What a command is run with. */
export interface Invocation {
  /** The arguments that are no flags, as many as the command has. */
  readonly args: readonly string[];
  readonly settings: Settings;
}

/** Runs to the end and answers the exit code. */
export type Run = (invocation: Invocation) => Promise<number>;

/** One command: what help says of it, and where its code is, which is loaded only to run it. */
export interface Command {
  readonly summary: string;
  /** Names of the arguments it must be given, in order. */
  readonly args: readonly string[];
  readonly settings: readonly SettingName[];
  /** More to say in its own help. */
  readonly details?: string;
  readonly load: () => Promise<{ readonly run: Run }>;
}

const COPY: readonly SettingName[] = [
  "intoExisting",
  "storeTimeoutMs",
  "connectTimeoutMs",
  "logLevel",
];

const RESUME =
  "A target that is not empty is refused, unless it\nholds what an earlier run of the same copy wrote: " +
  "then it goes on from there.";

/** Every command by name. `help` and `version` are answered by main.ts itself. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  serve: {
    summary: "Serve a store over HTTP; what runs where no command is named.",
    args: [],
    settings: [
      "port",
      "host",
      "store",
      "workers",
      "maxValueBytes",
      "inFlightMax",
      "watchersMax",
      "drainTimeoutMs",
      "storeTimeoutMs",
      "connectTimeoutMs",
      "logLevel",
      "logRequests",
      "requireConditions",
      "requireDurable",
      "feedRetentionMs",
      "keepVersions",
      "keepAgeMs",
      "retentionConfig",
    ],
    load: () => {
      leaveAProcessorToServing();
      return import("./serve.ts");
    },
  },
  check: {
    summary: "Run the test script against a server: silent and exit code 0 where all is right.",
    args: ["<url>"],
    settings: ["requestTimeoutMs"],
    details:
      "Puts, reads and deletes keys of its own, which it removes. Where something is not as it should\n" +
      "be, it prints what was sent, what was expected and what came, and exits with 1.",
    load: () => import("./check.ts"),
  },
  migrate: {
    summary: "Copy every version of every key from one store to another.",
    args: ["<from-url>", "<to-url>"],
    settings: COPY,
    details:
      `Digests are checked on both sides. ${RESUME} The source may be in use; stop its writers for\n` +
      "the last run, so that nothing is left behind. The target must not be.",
    load: () => import("./migrate.ts"),
  },
  export: {
    summary: "Write every version of every key to standard output, one line of JSON each.",
    args: ["<url>"],
    settings: ["storeTimeoutMs", "connectTimeoutMs", "logLevel"],
    details:
      "docs/export-format.md has the format: vss export sqlite:./data/state.db > state.ndjson",
    load: () => import("./export.ts"),
  },
  import: {
    summary: "Read an export from standard input into a store.",
    args: ["<url>"],
    settings: COPY,
    details: `vss import sqlite:./data/state.db < state.ndjson\n${RESUME}`,
    load: () => import("./import.ts"),
  },
  torture: {
    summary: "Prove a back end as it is set up here: load it, kill a server, check every promise.",
    args: [],
    settings: [
      "store",
      "tortureMs",
      "servers",
      "clients",
      "seed",
      "storeTimeoutMs",
      "connectTimeoutMs",
    ],
    details:
      "Starts server processes of its own over the store, records every call of its clients and\n" +
      "watchers, and decides whether anything was lost, doubled, reordered or read stale; exits with 1\n" +
      "and shows the calls that contradict each other if so. Its keys are removed at the end.",
    load: () => import("./torture.ts"),
  },
};

/** The command that runs where none is named. */
export const DEFAULT_COMMAND = "serve";
