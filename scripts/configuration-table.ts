import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { COMMANDS } from "../src/cli/commands.ts";
import { SETTINGS, type Setting, type SettingName } from "../src/cli/config.ts";
import { defaultText } from "../src/cli/help.ts";

/** Writes the tables of docs/configuration.md from the table of settings. A test holds the two together. */
export const PAGE = join(import.meta.dirname, "../docs/configuration.md");

const BEGIN = "<!-- made by scripts/configuration-table.ts: begin -->";
const END = "<!-- made by scripts/configuration-table.ts: end -->";

/** The page with its tables made anew. */
export function withTables(page: string): string {
  const [start, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (start === -1 || end === -1) throw new Error(`${PAGE} has no place for the tables.`);
  return `${page.slice(0, start)}${BEGIN}\n\n${tables()}\n${page.slice(end)}`;
}

function tables(): string {
  return Object.entries(COMMANDS)
    .map(([name, { args, summary, settings }]) => {
      const usage = `\`vss ${[name, ...args].join(" ")}\``;
      return `### vss ${name}\n\n${usage}: ${summary}\n\n${table(settings)}`;
    })
    .join("\n");
}

function table(names: readonly SettingName[]): string {
  const rows = names.map((name) => {
    const setting: Setting<unknown> = SETTINGS[name];
    const flag = `--${setting.flag} ${setting.type.placeholder}`.trimEnd().replaceAll("|", "\\|");
    const shown = defaultText(setting);
    return [`\`${flag}\``, `\`${setting.variable}\``, shown && `\`${shown}\``, setting.help];
  });
  return aligned([["Flag", "Variable", "Default", "What it does"], ...rows]);
}

/** As the formatter lays tables out. */
function aligned(rows: readonly (readonly string[])[]): string {
  const [head = []] = rows;
  const widths = head.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)));
  const rule = widths.map((width) => "-".repeat(width));
  return [lines[0] ?? [], rule, ...lines.slice(1)]
    .map((cells) => `| ${cells.join(" | ")} |\n`)
    .join("");
}

if (import.meta.main) writeFileSync(PAGE, withTables(readFileSync(PAGE, "utf8")));
