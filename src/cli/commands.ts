import type { SettingName, Settings } from "./config.ts";

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

/** Every command by name. `help` and `version` are answered by main.ts itself. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  serve: {
    summary: "Serve a store over HTTP; what runs where no command is named.",
    args: [],
    settings: [
      "port",
      "host",
      "store",
      "maxValueBytes",
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
    load: () => import("./serve.ts"),
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
};

/** The command that runs where none is named. */
export const DEFAULT_COMMAND = "serve";
