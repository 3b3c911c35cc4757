// Installs the packages of package-lock.json where they are missing or others. It runs before every
// npm script that needs them, so it is plain JavaScript that an older Node can run, and quick where
// there is nothing to do.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));

if (!isInstalled()) {
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
