import { parseArgs } from "node:util";
import { COMMANDS, DEFAULT_COMMAND, type Command } from "./commands.ts";
import { SETTINGS, type Setting, type SettingName, type Settings } from "./config.ts";
import { redactUrl } from "./redact.ts";
import { nearest } from "./suggest.ts";

/** A mistake in how the command line was called: one line for stderr, exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** What the command line asks for. */
export type Parsed =
  | { readonly kind: "version" }
  /** Help on one command, or on all. */
  | { readonly kind: "help"; readonly command: string | undefined }
  | {
      readonly kind: "run";
      readonly command: Command;
      readonly args: readonly string[];
      readonly settings: Settings;
    };

export type Environment = Readonly<Record<string, string | undefined>>;

const NAMES = Object.keys(SETTINGS) as SettingName[];

/**
 * Reads the command line. A flag beats its variable, a variable beats the default, and of a flag that
 * is given twice the last one counts, so that npm scripts can be overruled. Throws {@link UsageError}.
 */
export function parseCommandLine(argv: readonly string[], environment: Environment): Parsed {
  const { flags, words } = tokenize(argv);
  const [first, ...rest] = words;
  if (flags.has("version") || first === "version") return { kind: "version" };
  if (first === "help") return { kind: "help", command: rest[0] && commandName(rest[0]) };

  const name = first === undefined ? DEFAULT_COMMAND : commandName(first);
  if (flags.has("help")) return { kind: "help", command: first && name };
  const command = COMMANDS[name];
  if (command === undefined) throw new UsageError(`There is no command "${name}".`);
  checkArguments(name, command, rest);
  return {
    kind: "run",
    command,
    args: rest,
    settings: readSettings(name, { flags, environment }),
  };
}

interface Tokens {
  /** The last text of each flag that was given; undefined where it had none. */
  readonly flags: ReadonlyMap<string, string | undefined>;
  readonly words: readonly string[];
}

function tokenize(argv: readonly string[]): Tokens {
  const options: Record<string, { type: "string" | "boolean"; short?: string }> = {
    help: { type: "boolean", short: "h" },
    version: { type: "boolean", short: "v" },
  };
  for (const name of NAMES) {
    const { flag, type } = SETTINGS[name];
    options[flag] = { type: type.placeholder === "" ? "boolean" : "string" };
  }
  const { tokens } = parseArgs({
    args: [...argv],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });

  const flags = new Map<string, string | undefined>();
  const words: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") words.push(token.value);
    if (token.kind === "option") {
      if (!Object.hasOwn(options, token.name)) throw unknownFlag(token.rawName);
      flags.set(token.name, token.value);
    }
  }
  return { flags, words };
}

function unknownFlag(rawName: string): UsageError {
  const flags = ["--help", "--version", ...NAMES.map((name) => `--${SETTINGS[name].flag}`)];
  return new UsageError(
    `There is no flag ${redactUrl(rawName)}.${suggestion(rawName, flags)} See: vss help`,
  );
}

function commandName(name: string): string {
  if (Object.hasOwn(COMMANDS, name)) return name;
  const known = [...Object.keys(COMMANDS), "help", "version"];
  throw new UsageError(
    `There is no command "${redactUrl(name)}".${suggestion(name, known)} ` +
      `Known are ${known.join(", ")}.`,
  );
}

function suggestion(given: string, known: readonly string[]): string {
  const found = nearest(given, known);
  return found === undefined ? "" : ` Did you mean ${found}?`;
}

function checkArguments(name: string, command: Command, given: readonly string[]): void {
  const missing = command.args[given.length];
  if (missing !== undefined) {
    throw new UsageError(`vss ${name} needs ${missing}. See: vss help ${name}`);
  }
  const surplus = given[command.args.length];
  if (surplus !== undefined) {
    throw new UsageError(
      `vss ${name} takes no argument "${redactUrl(surplus)}". See: vss help ${name}`,
    );
  }
}

interface Sources {
  readonly flags: ReadonlyMap<string, string | undefined>;
  readonly environment: Environment;
}

function readSettings(command: string, sources: Sources): Settings {
  const taken = COMMANDS[command]?.settings ?? [];
  for (const name of NAMES) {
    const { flag } = SETTINGS[name];
    if (sources.flags.has(flag) && !taken.includes(name)) {
      throw new UsageError(`vss ${command} has no flag --${flag}. See: vss help ${command}`);
    }
  }
  const entries = NAMES.map((name) => {
    const setting: Setting<unknown> = SETTINGS[name];
    return [name, taken.includes(name) ? readSetting(setting, sources) : setting.fallback];
  });
  return Object.freeze(Object.fromEntries(entries)) as Settings;
}

function readSetting(setting: Setting<unknown>, { flags, environment }: Sources): unknown {
  const { flag, variable, type, fallback } = setting;
  if (flags.has(flag)) {
    // A switch stands without a value; every other flag needs one.
    const given = flags.get(flag) ?? (type.placeholder === "" ? "true" : undefined);
    if (given === undefined || given === "") {
      throw new UsageError(`--${flag} needs a value: --${flag} ${type.placeholder}`);
    }
    return checked(`--${flag}`, given, type);
  }
  const given = environment[variable];
  return given === undefined || given === "" ? fallback : checked(variable, given, type);
}

function checked(label: string, given: string, type: Setting<unknown>["type"]): unknown {
  const read = type.read(given);
  if (read.ok) return read.value;
  throw new UsageError(`${label} ${read.reason}, not "${redactUrl(given)}".`);
}
