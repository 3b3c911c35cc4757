import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";

/** Writes dist/: JavaScript and declarations, for Node strips no types below node_modules. */
const ROOT = join(import.meta.dirname, "..");

// What was built from a file that is gone must not be published.
rmSync(join(ROOT, "dist"), { recursive: true, force: true });
const result = spawnSync("tsc", ["-p", "tsconfig.build.json"], { cwd: ROOT, stdio: "inherit" });
process.exitCode = result.status ?? 1;
