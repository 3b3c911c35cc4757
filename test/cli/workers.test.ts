import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { removeFolder, temporaryFolder, waitUntil } from "../servers/process.ts";
import { startOwnRedis } from "../servers/redis.ts";
import { isSelected } from "../servers/selection.ts";
import { serve, vss } from "./vss.ts";

/** The processes that a server has started. */
function workersOf(pid: number): readonly number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  return text.split(" ").filter(Boolean).map(Number);
}

/** What has a server run some code before its own. */
async function preload(folder: string, code: string): Promise<Readonly<Record<string, string>>> {
  const file = join(folder, "preload.mjs");
  await writeFile(file, code);
  return { NODE_OPTIONS: `--import ${pathToFileURL(file).href}` };
}

test("several workers serve one port, stay correct together, and one that dies comes back", async () => {
  const folder = await temporaryFolder("workers");
  const store = `sqlite:${join(folder, "state.db")}`;
  const { server, url } = await serve(["--workers", "2", "--store", store], { cwd: folder });
  const put = async (): Promise<number> => {
    const response = await fetch(`${url}/key`, { method: "PUT", body: "value" });
    return ((await response.json()) as { version: number }).version;
  };
  const versions = await Promise.all(Array.from({ length: 40 }, put));
  assert.deepEqual(
    versions.toSorted((a, b) => a - b),
    Array.from({ length: 40 }, (_, index) => index + 1),
  );
  const [victim = 0] = workersOf(server.pid);
  process.kill(victim, "SIGKILL");
  await waitUntil("a new worker", () => {
    const now = workersOf(server.pid);
    return now.length === 2 && !now.includes(victim);
  });
  await waitUntil("an answer", () =>
    put().then(
      (version) => version > 40,
      () => false,
    ),
  );
  server.signal("SIGTERM");
  assert.equal((await server.ended()).code, 0);
  await removeFolder(folder);
});

test("workers that all die at once come back, and the server says where", async () => {
  const folder = await temporaryFolder("workers");
  const store = `sqlite:${join(folder, "state.db")}`;
  const { server } = await serve(["--workers", "2", "--store", store], { cwd: folder });
  assert.equal(workersOf(server.pid).length, 2, "all serve once the server says that it listens");
  for (const worker of workersOf(server.pid)) process.kill(worker, "SIGKILL");
  await waitUntil("an answer", async () => {
    // A connection that is on its way to a worker which dies is never answered.
    const signal = AbortSignal.timeout(2_000);
    return fetch(`${await server.listening()}/-/readyz`, { signal }).then(
      ({ ok }) => ok,
      () => false,
    );
  });
  server.signal("SIGTERM");
  assert.equal((await server.ended()).code, 0);
  await removeFolder(folder);
});

/** Has workers that start after SIGUSR2 give up soon, and those that start after SIGHUP wait again. */
const HASTE = `
import cluster from "node:cluster";

if (cluster.isPrimary) {
  const patience = process.env.VSS_CONNECT_TIMEOUT;
  process.on("SIGUSR2", () => (process.env.VSS_CONNECT_TIMEOUT = "100ms"));
  process.on("SIGHUP", () => (process.env.VSS_CONNECT_TIMEOUT = patience));
}
`;

if (isSelected("redis")) {
  test("a worker that can't start again while the back end is away takes nobody with it", async (t) => {
    const folder = await temporaryFolder("workers");
    t.after(() => removeFolder(folder));
    const redis = await startOwnRedis();
    t.after(() => redis.stop());
    const args = ["--workers", "2", "--store", redis.url];
    const env = await preload(folder, HASTE);
    const { server, url } = await serve(args, { cwd: folder, env });
    redis.signal("SIGKILL");
    server.signal("SIGUSR2");
    const [victim = 0] = workersOf(server.pid);
    process.kill(victim, "SIGKILL");
    await waitUntil("two attempts", () => server.stderr.split("did not answer within").length > 2);
    assert.ok(server.isRunning);
    server.signal("SIGHUP");
    await redis.restart();
    await waitUntil("an answer of each worker", async () => {
      const put = async (): Promise<boolean> =>
        fetch(`${url}/key`, { method: "PUT", body: "value" }).then(
          ({ ok }) => ok,
          () => false,
        );
      const workers = workersOf(server.pid).length;
      return workers === 2 && (await Promise.all([put(), put(), put(), put()])).every(Boolean);
    });
    server.signal("SIGTERM");
    assert.equal((await server.ended()).code, 0);
  });
}

/** Has a worker die after a signal has come, and before the process that started it can know. */
const DEATH = `
import cluster from "node:cluster";
import { readdirSync, readFileSync } from "node:fs";

if (cluster.isPrimary) {
  process.on("SIGTERM", () => {
    const [victim] = Object.values(cluster.workers);
    const folder = "/proc/" + victim.process.pid;
    victim.process.kill("SIGKILL");
    // The last of its threads closes the channel.
    const isGone = () =>
      readdirSync(folder + "/task").length === 1 && readFileSync(folder + "/stat", "utf8").includes(") Z");
    while (!isGone());
  });
}
`;

test("a worker that dies in the moment of a stop takes nobody with it", async (t) => {
  const folder = await temporaryFolder("workers");
  t.after(() => removeFolder(folder));
  const args = ["--workers", "2", "--store", "sqlite:state.db"];
  const env = await preload(folder, DEATH);
  const { server } = await serve(args, { cwd: folder, env });
  server.signal("SIGTERM");
  const { code, stderr } = await server.ended();
  assert.equal(code, 0, stderr);
  assert.match(stderr, /"stopped"/, "the other one has stopped by itself");
});

test("a worker that does nothing any more does not hold up the end", async (t) => {
  const folder = await temporaryFolder("workers");
  t.after(() => removeFolder(folder));
  const args = ["--workers", "2", "--store", "sqlite:state.db", "--drain-timeout", "100ms"];
  const { server } = await serve(args, { cwd: folder });
  const [stuck = 0] = workersOf(server.pid);
  process.kill(stuck, "SIGSTOP");
  server.signal("SIGTERM");
  assert.equal((await server.ended()).code, 1);
  assert.throws(() => process.kill(stuck, 0), { code: "ESRCH" });
});

test("a store of one process refuses several workers", async () => {
  const { code, stderr } = await vss(["--workers", "2", "--store", "memory:"], { cwd: "." });
  assert.equal(code, 2);
  assert.match(stderr, /memory: lives in one process alone/);
});
