/** What reading one setting's text gives: its value, or why not, as a sentence's end. */
export type Read<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: string };

/** How a setting is written: one object per unit, shared by flags, variables and the docs. */
export interface ValueType<T> {
  /** Stands for the value in help, such as `<duration>`; empty for a switch. */
  readonly placeholder: string;
  read(text: string): Read<T>;
  /** The same value as one would write it. */
  write(value: T): string;
}

const DURATIONS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZES = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

/** Milliseconds, written with a unit: a bare `10` could be either seconds or milliseconds. */
export const duration: ValueType<number> = {
  placeholder: "<duration>",
  read: (text) => readAmount(text, DURATIONS, "a duration such as 500ms, 10s, 5m, 24h or 30d"),
  write: (value) => writeAmount(value, DURATIONS),
};

/** Bytes, written with a unit. */
export const size: ValueType<number> = {
  placeholder: "<size>",
  read: (text) => readAmount(text, SIZES, "a size such as 512KiB or 8MiB"),
  write: (value) => writeAmount(value, SIZES),
};

export const text: ValueType<string> = {
  placeholder: "<text>",
  read: (value) => ok(value),
  write: (value) => value,
};

/** On or off; as a flag it needs no value. */
export const onOff: ValueType<boolean> = {
  placeholder: "",
  read: (value) => {
    if (["true", "1", "on", "yes"].includes(value.toLowerCase())) return ok(true);
    if (["false", "0", "off", "no"].includes(value.toLowerCase())) return ok(false);
    return { ok: false, reason: "is true or false" };
  },
  write: String,
};

/** A whole number within bounds. */
export function count(min: number, max: number): ValueType<number> {
  return {
    placeholder: "<number>",
    read: (value) => {
      const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
      if (number >= min && number <= max) return ok(number);
      return { ok: false, reason: `is a whole number from ${min} to ${max}` };
    },
    write: String,
  };
}

/** One of a few words. */
export function choice<const T extends string>(words: readonly T[]): ValueType<T> {
  return {
    placeholder: `<${words.join("|")}>`,
    read: (value) => {
      const word = words.find((known) => known === value);
      if (word !== undefined) return ok(word);
      return { ok: false, reason: `is one of ${words.join(", ")}` };
    },
    write: (value) => value,
  };
}

/** A value type with a narrower range, or another placeholder. */
export function within(
  type: ValueType<number>,
  { min = 0, max }: { readonly min?: number; readonly max: number },
): ValueType<number> {
  return {
    ...type,
    read: (value) => {
      const read = type.read(value);
      if (!read.ok || (read.value >= min && read.value <= max)) return read;
      return { ok: false, reason: `is from ${type.write(min)} to ${type.write(max)}` };
    },
  };
}

function ok<T>(value: T): Read<T> {
  return { ok: true, value };
}

function readAmount(
  value: string,
  units: Readonly<Record<string, number>>,
  expected: string,
): Read<number> {
  if (value === "0") return ok(0);
  const match = /^(\d{1,12}(?:\.\d{1,3})?)\s?([A-Za-z]+)$/.exec(value);
  const unit = Object.entries(units).find(
    ([name]) => name.toLowerCase() === match?.[2]?.toLowerCase(),
  );
  if (match === null || unit === undefined) return { ok: false, reason: `is ${expected}` };
  return ok(Math.round(Number(match[1]) * unit[1]));
}

/** In the largest unit that leaves a whole number. */
function writeAmount(value: number, units: Readonly<Record<string, number>>): string {
  if (value === 0) return "0";
  const fits = Object.entries(units).findLast(([, factor]) => value % factor === 0);
  return fits === undefined ? String(value) : `${value / fits[1]}${fits[0]}`;
}
