import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * `npm install` leaves an optional package of another platform out of package-lock.json where the
 * registry it asks does not have it, and `npm ci` then refuses the lock file on every platform. This
 * adds the entries back. Run it after `npm install` where test/tidy.test.ts says so.
 */
const FILE = join(import.meta.dirname, "..", "package-lock.json");

interface LockedPackage {
  readonly version?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly devOptional?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

interface Lock {
  readonly packages: Readonly<Record<string, LockedPackage>>;
}

/** Optional packages that the lock file names and has no entry for, by their place in the tree. */
export function missingOptional({ packages }: Lock): Map<string, LockedPackage> {
  const missing = new Map<string, LockedPackage>();
  for (const { optionalDependencies = {}, dev = false } of Object.values(packages)) {
    for (const [name, version] of Object.entries(optionalDependencies)) {
      const path = `node_modules/${name}`;
      const isExact = /^\d/.test(version);
      if (packages[path] !== undefined || !isExact) continue;
      missing.set(path, {
        version,
        ...platformOf(name),
        ...(dev ? { dev } : {}),
        optional: true,
      });
    }
  }
  return missing;
}

const SYSTEMS = [
  "aix",
  "android",
  "darwin",
  "freebsd",
  "linux",
  "netbsd",
  "openbsd",
  "openharmony",
  "sunos",
  "win32",
];
const PROCESSORS = [
  "arm64",
  "arm",
  "ia32",
  "loong64",
  "mips64el",
  "ppc64",
  "riscv64",
  "s390x",
  "x64",
];

/** Such packages have the platform in their names, as in `@oxlint/binding-linux-x64-musl`. */
function platformOf(name: string): { readonly os: string[]; readonly cpu: string[] } {
  const words = name.split(/[/-]/);
  return {
    os: SYSTEMS.filter((system) => words.includes(system)),
    cpu: PROCESSORS.filter((processor) => words.includes(processor)),
  };
}

if (import.meta.main) {
  const lock = JSON.parse(readFileSync(FILE, "utf8")) as Lock;
  const added = missingOptional(lock);
  const packages = Object.fromEntries(
    [...Object.entries(lock.packages), ...added].toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
  writeFileSync(FILE, `${JSON.stringify({ ...lock, packages }, undefined, 2)}\n`);
  process.stdout.write(`Added ${added.size} entries to package-lock.json.\n`);
}
