/** Every store and topology that the tests know, by the name that `STORES` takes. */
export const STORE_NAMES = [
  "memory",
  "sqlite",
  "redis",
  "redis-cluster",
  "mongodb",
  "mongodb-replica-set",
  "mariadb",
] as const;

export type StoreName = (typeof STORE_NAMES)[number];

/**
 * Whether the tests of a store run. `STORES=memory,redis` narrows a run to these two, and each of the
 * others then says on standard error that it was left out. Without `STORES` all run, and one whose
 * server can't be had fails. An unknown name fails too: a mistyped `STORES` must not pass everything.
 */
export function isSelected(name: StoreName): boolean {
  const wanted = (process.env["STORES"] ?? "").split(",").filter((one) => one !== "");
  const known = new Set<string>(STORE_NAMES);
  const unknown = wanted.filter((one) => !known.has(one));
  if (unknown.length > 0) {
    throw new Error(`STORES names ${unknown.join(", ")}; known are ${STORE_NAMES.join(", ")}`);
  }
  if (wanted.length === 0 || wanted.includes(name)) return true;
  process.stderr.write(`STORES=${wanted.join(",")}: the tests of ${name} are left out\n`);
  return false;
}
