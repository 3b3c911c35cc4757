import { readFileSync } from "node:fs";
import type { RetentionRule } from "../state/retention.ts";
import type { Settings } from "./config.ts";
import { UsageError } from "./parse.ts";
import { count, duration, type ValueType } from "./units.ts";

/**
 * What to keep, from `--keep-versions`, `--keep-age` and the file of `--retention-config`, such as
 * `{"rules": [{"prefix": "logs/", "keepVersions": 100, "keepAge": "30d"}]}`. Of the rules whose prefix
 * a key begins with, the longest counts; the flags are the rule of every other key.
 */
export function retentionRules(
  settings: Pick<Settings, "keepVersions" | "keepAgeMs" | "retentionConfig">,
): readonly RetentionRule[] {
  const { keepVersions, keepAgeMs, retentionConfig } = settings;
  const rules = retentionConfig === undefined ? [] : readRules(retentionConfig);
  if (keepVersions === undefined && keepAgeMs === undefined) return rules;
  if (rules.some(({ prefix }) => prefix === "")) {
    throw new UsageError(
      `${retentionConfig} has a rule for the prefix "", which --keep-versions and --keep-age stand ` +
        "for: leave out one of the two.",
    );
  }
  return [...rules, { prefix: "", keepVersions, keepAgeMs }];
}

function readRules(file: string): RetentionRule[] {
  const document = parseFile(file);
  const rules = isRecord(document) && hasOnly(document, ["rules"]) ? document["rules"] : undefined;
  if (!Array.isArray(rules)) {
    throw new UsageError(`${file} is an object with one member, "rules", that is a list.`);
  }
  const read = rules.map((rule: unknown, index) => readRule(rule, `rule ${index + 1} of ${file}`));
  const prefixes = read.map(({ prefix }) => prefix);
  const twice = prefixes.find((prefix, index) => prefixes.indexOf(prefix) !== index);
  if (twice !== undefined) throw new UsageError(`${file} has two rules for the prefix "${twice}".`);
  return read;
}

function parseFile(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(`--retention-config ${file} can't be read: ${reason}`);
  }
}

function readRule(rule: unknown, where: string): RetentionRule {
  if (!isRecord(rule) || !hasOnly(rule, ["prefix", "keepVersions", "keepAge"])) {
    throw new UsageError(`${where} is an object of "prefix", "keepVersions" and "keepAge" alone.`);
  }
  const { prefix } = rule;
  if (typeof prefix !== "string") throw new UsageError(`${where} needs a "prefix", a text.`);
  if (rule["keepVersions"] === undefined && rule["keepAge"] === undefined) {
    throw new UsageError(`${where} needs "keepVersions" or "keepAge".`);
  }
  return {
    prefix,
    keepVersions: readMember(rule, { name: "keepVersions", type: count(1, 1e9), where }),
    keepAgeMs: readMember(rule, { name: "keepAge", type: duration, where }),
  };
}

function readMember(
  rule: Readonly<Record<string, unknown>>,
  member: { readonly name: string; readonly type: ValueType<number>; readonly where: string },
): number | undefined {
  const given = rule[member.name];
  if (given === undefined) return undefined;
  const read = member.type.read(typeof given === "string" ? given : JSON.stringify(given));
  if (read.ok && read.value > 0) return read.value;
  const reason = read.ok ? "is more than 0" : read.reason;
  throw new UsageError(
    `"${member.name}" in ${member.where} ${reason}, not ${JSON.stringify(given)}.`,
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function hasOnly(record: Readonly<Record<string, unknown>>, names: readonly string[]): boolean {
  return Object.keys(record).every((name) => names.includes(name));
}
