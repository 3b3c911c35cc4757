import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";

import { ensureBackEnds, pathWithServers } from "../../scripts/back-ends.ts";
import { startOwnRedis } from "../servers/redis.ts";
import { VssServer } from "../servers/vss-server.ts";

const VERSION = "4.32.5";
const CACHE = join(import.meta.dirname, "../../.cache");
const FOLDER = join(CACHE, `schemathesis-${VERSION}`);

/**
 * All that schemathesis can hold against an answer, except what it thinks of requests: it counts a
 * legal key that was refused by a condition, say, as an answer that should have been a success.
 */
const CHECKS = [
  "not_a_server_error",
  "status_code_conformance",
  "content_type_conformance",
  "response_headers_conformance",
  "response_schema_conformance",
  "unsupported_method",
  "allow_header_conformance",
  "use_after_free",
];

/** A back end that a busy machine holds up for seconds must not be answered for as one that is away. */
const SERVER_ARGS = ["--log-level", "warn", "--store-timeout", "60s", "--connect-timeout", "60s"];

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: "1" },
  },
});

/**
 * Fetches schemathesis from PyPI into the cache folder, once. The folder is moved into place when it is
 * whole: a run that was cut short leaves no part of one, and two at once don't write into each other's.
 */
async function install(): Promise<void> {
  if (await isInstalled()) return;
  process.stderr.write(`Installing schemathesis ${VERSION} from PyPI …\n`);
  await mkdir(CACHE, { recursive: true });
  const folder = await mkdtemp(join(CACHE, "fetch-"));
  try {
    const args = [
      "-m",
      "pip",
      "install",
      "--quiet",
      "--target",
      folder,
      `schemathesis==${VERSION}`,
    ];
    await promisify(execFile)("python3", args).catch((cause: unknown) => {
      throw new Error(
        "The fuzz run needs Python 3.10 or later with pip: apt-get install python3-pip",
        { cause },
      );
    });
    await rename(folder, FOLDER).catch(async (error: unknown) => {
      // Another run was first.
      if (!(await isInstalled())) throw error;
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function isInstalled(): Promise<boolean> {
  return access(join(FOLDER, "schemathesis")).then(
    () => true,
    () => false,
  );
}

/** Runs one server's document through schemathesis; answers whether nothing was found. */
async function fuzz(store: string, name: string): Promise<boolean> {
  const server = await VssServer.start({ store, args: SERVER_ARGS });
  try {
    const run = "from schemathesis.cli import schemathesis; schemathesis()";
    const child = spawn(
      "python3",
      [
        "-c",
        run,
        "run",
        `${server.url}/-/openapi.json`,
        `--max-time=${values.seconds}`,
        `--seed=${values.seed}`,
        `--checks=${CHECKS.join(",")}`,
        // Watches never end by themselves; the links of "/" are no requests of their own.
        "--exclude-path-regex=watch$|^/$",
        "--request-timeout=120",
        // What took a busy machine long to make up is no fault of the server's.
        "--suppress-health-check=all",
        "--generation-database=none",
        "--warnings=off",
        "--no-color",
      ],
      { stdio: "inherit", cwd: FOLDER, env: { ...process.env, PYTHONPATH: FOLDER } },
    );
    const [code] = (await once(child, "exit")) as [number | null];
    process.stdout.write(`fuzz of ${name}: ${code === 0 ? "nothing found" : "FAILED"}\n`);
    return code === 0;
  } finally {
    await server.stop();
  }
}

process.env["PATH"] = pathWithServers();
await ensureBackEnds(["redis"]);
await install();
const redis = await startOwnRedis();
try {
  const found = [await fuzz("memory:", "memory"), await fuzz(redis.url, "redis")];
  process.exitCode = found.every(Boolean) ? 0 : 1;
} finally {
  await redis.stop();
}
