import type { LoadContext } from "./load.ts";
import { valueOf } from "./values.ts";
import { forEachParallel } from "./wire.ts";

/** Keys of a load. */
export const KEYS = 1_000;

/** Requests under way while data is made. */
const PARALLEL = 32;

export function keyNames(prefix: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
}

/** Puts each key once with its value. The bare server keeps nothing. */
export async function putKeys(context: LoadContext, keys: readonly string[]): Promise<void> {
  const { surface } = context.contender;
  if (surface.isCanned) return;
  await forEachParallel(keys.length, PARALLEL, async (index) => {
    const key = keys[index] ?? "";
    await context.client.sendOk(surface.put(key, valueOf(key, context.valueBytes)));
  });
}

export interface MadeVersion {
  readonly version: number;
  readonly value: string;
}

/** Gives one key many versions, each with a value of its own. */
export async function makeHistory(
  context: LoadContext,
  key: string,
  count: number,
): Promise<readonly MadeVersion[]> {
  const { surface } = context.contender;
  const made: MadeVersion[] = [];
  await forEachParallel(count, PARALLEL, async (index) => {
    const value = valueOf(`${key}#${index}`, context.valueBytes);
    if (surface.isCanned) {
      made.push({ version: index + 1, value });
      return;
    }
    const { body } = await context.client.sendOk(surface.put(key, value));
    made.push({ version: surface.readPut(body), value });
  });
  const versions = new Set(made.map(({ version }) => version));
  if (versions.size !== count) {
    throw new Error(`${count} puts of ${key} were given ${versions.size} different versions`);
  }
  return made;
}

/** How many versions some keys have together; undefined where the contender can't tell. */
export async function countVersions(
  context: LoadContext,
  keys: readonly string[],
): Promise<number | undefined> {
  const { count } = context.contender.surface;
  if (count === undefined) return undefined;
  let sum = 0;
  await forEachParallel(keys.length, PARALLEL, async (index) => {
    const { body } = await context.client.sendOk(count.ask(keys[index] ?? ""));
    sum += count.read(body);
  });
  return sum;
}
