/** Members that stand in fixed places of a line, or below it. */
const PLACED = new Set(["level", "time", "msg", "err"]);

/**
 * Turns one JSON line of the log into a line for people: the time, the level where it is not `info`,
 * the message and its fields. A dozen packages would come along with pino-pretty for the same.
 */
export function formatLogLine(json: string): string {
  const record = parse(json);
  return typeof record === "object" && record !== null ? formatRecord({ ...record }) : json;
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

function formatRecord(record: Readonly<Record<string, unknown>>): string {
  const { level, time, msg, err } = record;
  const parts = [toText(time).slice(11, 23)];
  if (level !== "info") parts.push(toText(level).toUpperCase());
  parts.push(toText(msg));
  for (const [name, value] of Object.entries(record)) {
    if (!PLACED.has(name) && value !== undefined) parts.push(`${name}=${toText(value)}`);
  }
  return `${parts.join(" ")}\n${formatError(err)}`;
}

function formatError(err: unknown): string {
  if (typeof err !== "object" || err === null) return "";
  const { stack, message } = err as { readonly stack?: unknown; readonly message?: unknown };
  return `${toText(stack ?? message ?? "").replaceAll(/^/gm, "    ")}\n`;
}

function toText(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}
