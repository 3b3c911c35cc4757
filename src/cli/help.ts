import { COMMANDS } from "./commands.ts";
import { SETTINGS, type Setting, type SettingName } from "./config.ts";

const WIDTH = 96;

/** What `vss help` prints. */
export function generalHelp(): string {
  const commands = Object.entries(COMMANDS).map(
    ([name, command]) => [usage(name), command.summary] as const,
  );
  return [
    "Keeps every version of every key, over the database you already run.",
    "",
    "Usage: vss [command] [flags]",
    "",
    "Commands:",
    ...columns([
      ...commands,
      ["help [command]", "Say what a command does and takes."],
      ["version", "Print the version."],
    ]),
    "",
    "Flags of vss serve:",
    ...settingLines(COMMANDS["serve"]?.settings ?? []),
    "",
    "A flag --some-flag can also be set by the variable VSS_SOME_FLAG; the flag wins.",
    "",
  ].join("\n");
}

/** What `vss help <command>` prints. */
export function commandHelp(name: string): string {
  const command = COMMANDS[name];
  if (command === undefined) return generalHelp();
  return [
    command.summary,
    "",
    `Usage: vss ${usage(name)} [flags]`,
    ...(command.details === undefined ? [] : ["", command.details]),
    ...(command.settings.length === 0 ? [] : ["", "Flags:", ...settingLines(command.settings)]),
    "",
  ].join("\n");
}

function usage(name: string): string {
  return [name, ...(COMMANDS[name]?.args ?? [])].join(" ");
}

function settingLines(names: readonly SettingName[]): string[] {
  return columns(
    names.map((name) => {
      const setting: Setting<unknown> = SETTINGS[name];
      const flag = `--${setting.flag} ${setting.type.placeholder}`.trimEnd();
      const shown = defaultText(setting);
      return [flag, shown === "" ? setting.help : `${setting.help} [${shown}]`];
    }),
  );
}

/** A setting's default as one would write it; empty where it is off or undefined unless told. */
export function defaultText({ fallback, type }: Setting<unknown>): string {
  return fallback === undefined || fallback === false ? "" : type.write(fallback);
}

/** Two columns, the second one wrapped. */
function columns(rows: readonly (readonly [string, string])[]): string[] {
  const left = Math.max(...rows.map(([first]) => first.length)) + 4;
  return rows.flatMap(([first, second]) =>
    wrap(second, WIDTH - left).map((line, index) =>
      `${index === 0 ? `  ${first}` : ""}`.padEnd(left).concat(line),
    ),
  );
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
