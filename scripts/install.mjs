// Installs the packages of package-lock.json where they are missing or others. It runs before every
// npm script that needs them, so it is plain JavaScript that an older Node can run, and quick where
// there is nothing to do.
import { spawnSync } from "node:child_process";
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));

const LOCK = `${root}.cache/install.lock`;
const LOOK_EVERY_MS = 200;
/** No install takes as long: the number of a process that has ended may be another's by now. */
const HELD_MS_MAX = 20 * 60_000;

if (!isInstalled()) {
  takeLock();
  process.on("exit", () => rmSync(LOCK, { force: true }));
  // Whoever had the lock may have done it.
  if (!isInstalled()) install();
}

function install() {
  process.stdout.write("Installing the packages of package-lock.json (npm ci), once.\n");
  // Node 24 itself is one of them, and a development dependency: NODE_ENV must not leave it out.
  const options = ["--include=dev", "--no-audit", "--no-fund", "--loglevel=error"];
  const result = spawnSync("npm", ["ci", ...options], {
    cwd: root,
    stdio: "inherit",
    shell: process.platform === "win32",
  });
  if (result.status !== 0) {
    process.stderr.write("npm ci failed; the lines above say why. Mend that and run this again.\n");
    process.exit(result.status ?? 1);
  }
  if (pinnedNodeVersion() === undefined) {
    process.stderr.write(
      "npm ci installed no Node 24: its install scripts are off. Run `npm ci --ignore-scripts=false`.\n",
    );
    process.exit(1);
  }
}

/** Two installs at once in one checkout would each remove what the other has put there. */
function takeLock() {
  mkdirSync(`${root}.cache`, { recursive: true });
  const own = `${LOCK}.${process.pid}`;
  writeFileSync(own, `${process.pid}`);
  try {
    // It has its content as soon as it is there.
    while (!links(own)) {
      if (isHeld()) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOOK_EVERY_MS);
      else rmSync(LOCK, { force: true });
    }
  } finally {
    rmSync(own);
  }
}

function links(own) {
  try {
    linkSync(own, LOCK);
    return true;
  } catch (error) {
    if (error.code === "EEXIST") return false;
    throw error;
  }
}

/** False where the process that took the lock was ended before it could give it back. */
function isHeld() {
  try {
    const pid = Number(readFileSync(LOCK, "utf8"));
    const isFresh = Date.now() - statSync(LOCK).mtimeMs < HELD_MS_MAX;
    return isFresh && pid !== process.pid && process.kill(pid, 0);
  } catch (error) {
    // Given back just now; or of another user.
    return error.code === "ENOENT" || error.code === "EPERM";
  }
}

/**
 * npm writes what it installed to node_modules/.package-lock.json, in the words of package-lock.json;
 * packages for other platforms are left out of it.
 */
function isInstalled() {
  const wanted = readPackages("package-lock.json");
  const present = readPackages("node_modules/.package-lock.json");
  if (wanted === undefined || present === undefined) return false;
  const isPresent = Object.entries(wanted).every(([path, { version, optional }]) => {
    if (path === "" || (optional === true && present[path] === undefined)) return true;
    return present[path]?.version === version;
  });
  return isPresent && pinnedNodeVersion() === wanted["node_modules/node"]?.version;
}

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(root + file, "utf8")).packages;
  } catch {
    return undefined;
  }
}

/** Undefined unless the binary is there too: an install that was cut short leaves only the package. */
function pinnedNodeVersion() {
  const folder = `${root}node_modules/node/`;
  if (!existsSync(`${folder}bin/node`)) return undefined;
  return JSON.parse(readFileSync(`${folder}package.json`, "utf8")).version;
}
