import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { access } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";

import { ensureBackEnds, pathWithServers } from "../../scripts/back-ends.ts";
import { startOwnRedis } from "../servers/redis.ts";
import { VssServer } from "../servers/vss-server.ts";

const VERSION = "4.32.5";
const FOLDER = join(import.meta.dirname, `../../.cache/schemathesis-${VERSION}`);

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

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: "1" },
  },
});

/** Fetches schemathesis from PyPI into the cache folder, once. */
async function install(): Promise<void> {
  const isThere = await access(join(FOLDER, "schemathesis")).then(
    () => true,
    () => false,
  );
  if (isThere) return;
  process.stderr.write(`Installing schemathesis ${VERSION} from PyPI …\n`);
  const args = ["-m", "pip", "install", "--quiet", "--target", FOLDER, `schemathesis==${VERSION}`];
  await promisify(execFile)("python3", args).catch((cause: unknown) => {
    throw new Error(
      "The fuzz run needs Python 3.10 or later with pip: apt-get install python3-pip",
      {
        cause,
      },
    );
  });
}

/** Runs one server's document through schemathesis; answers whether nothing was found. */
async function fuzz(store: string, name: string): Promise<boolean> {
  const server = await VssServer.start({ store, args: ["--log-level", "warn"] });
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
        "--request-timeout=10",
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
