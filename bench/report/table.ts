/** A table to print; columns after the first are aligned to the right. */
export interface Table {
  readonly headers: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export function toMarkdown({ headers, rows }: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const rule = headers.map((_, column) => (column === 0 ? "---" : "---:"));
  return [line(headers), line(rule), ...rows.map(line)].join("\n");
}

export function toText({ headers, rows }: Table): string {
  const all = [headers, ...rows];
  const widths = headers.map((_, column) =>
    Math.max(...all.map((cells) => (cells[column] ?? "").length)),
  );
  return all
    .map((cells) =>
      cells
        .map((cell, column) => {
          const width = widths[column] ?? 0;
          return column === 0 ? cell.padEnd(width) : cell.padStart(width);
        })
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** `12,345`. */
export function formatCount(value: number): string {
  return Math.round(value).toLocaleString("en");
}

/** Microseconds as milliseconds, with the digits that mean something. */
export function formatMs(microseconds: number): string {
  const ms = microseconds / 1000;
  return ms.toFixed(ms < 10 ? 2 : ms < 100 ? 1 : 0);
}

export function formatShare(value: number): string {
  return Number.isFinite(value) ? value.toFixed(2) : "–";
}
