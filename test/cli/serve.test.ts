import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, open, readdir, readFile, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { createServer, type AddressInfo } from "node:net";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { endWithThis } from "../servers/children.ts";
import { freePort, pause, removeFolder, temporaryFolder, waitUntil } from "../servers/process.ts";
import { LAUNCHER, serve, vss, VssProcess, type Result } from "./vss.ts";

let root: string;
before(async () => {
  root = await temporaryFolder("cli");
});
after(async () => removeFolder(root));

let folders = 0;
/** An empty folder to run in, so that a test sees what a command leaves behind. */
async function newFolder(): Promise<string> {
  folders += 1;
  const folder = join(root, String(folders));
  await mkdir(folder);
  return folder;
}

/** A mistake of the caller: one line that says what to do, exit code 2, and nothing created. */
async function assertUsageError(result: Result, cwd: string, message: RegExp): Promise<void> {
  assert.match(result.stderr, message);
  assert.equal(result.stderr.trimEnd().split("\n").length, 1, result.stderr);
  assert.equal(result.stdout, "");
  assert.equal(result.code, 2);
  assert.deepEqual(await readdir(cwd), []);
}

test("it says where it listens, over which store, what that promises, and what to try", async () => {
  const cwd = await newFolder();
  const { server, url } = await serve([], { cwd });
  const [first, promise, attempt, rest] = server.stdout.split("\n");
  assert.match(
    first ?? "",
    /^Listening on http:\/\/127\.0\.0\.1:\d+, store sqlite:\.\/data\/state\.db \(SQLite/,
  );
  assert.match(promise ?? "", /survives kill -9/);
  assert.equal(attempt, `Try: curl -X PUT -d 'hello' ${url}/greeting`);
  assert.equal(rest, "");
  assert.deepEqual(
    await readdir(join(cwd, "data")).then((names) => names.includes("state.db")),
    true,
  );
  server.signal("SIGTERM");
  assert.equal((await server.ended()).code, 0);
});

for (const store of ["memory:", "sqlite:./data/state.db"]) {
  test(`vss check is silent against ${store}, and leaves no key behind`, async () => {
    const cwd = await newFolder();
    const { server, url } = await serve(["--store", store], { cwd });
    assert.deepEqual(await vss(["check", url], { cwd }), { code: 0, stdout: "", stderr: "" });
    const list = await fetch(`${url}/-/keys`);
    assert.deepEqual(await list.json(), { keys: [], prefixes: [] });
    server.signal("SIGINT");
    assert.equal((await server.ended()).code, 0);
  });
}

test("what was acknowledged is there after a stop and a new start", async () => {
  const cwd = await newFolder();
  for (const version of [1, 2]) {
    const { server, url } = await serve([], { cwd });
    const put = await fetch(`${url}/k`, { method: "PUT", body: `value ${version}` });
    assert.equal(((await put.json()) as { version: number }).version, version);
    server.signal(version === 1 ? "SIGKILL" : "SIGTERM");
    await server.ended();
  }
});

/** Begins a PUT and leaves its body unfinished; `finish` sends the rest and answers the status. */
async function beginPut(url: string): Promise<{ finish: () => Promise<number> }> {
  const put = request(`${url}/slow`, { method: "PUT", headers: { "content-length": "10" } });
  put.write("12345");
  const answer = once(put, "response") as Promise<[{ statusCode: number }]>;
  answer.catch(() => {});
  // The head has arrived when the server counts the request.
  await waitUntil("the request to be under way", async () => {
    const response = await fetch(`${url}/-/readyz?verbose`);
    const { server } = (await response.json()) as { server: { inFlight: number } };
    return server.inFlight >= 1;
  });
  return {
    finish: async () => {
      put.end("67890");
      const [{ statusCode }] = await answer;
      return statusCode;
    },
  };
}

/** No stop of a test takes as long, so that what ends before has ended for another reason. */
const LONG_DRAIN = ["--store", "memory:", "--drain-timeout", "10m"];

test("a stop lets a request under way finish", async () => {
  const { server, url } = await serve(LONG_DRAIN, { cwd: await newFolder() });
  const { finish } = await beginPut(url);
  server.signal("SIGTERM");
  await waitUntil("the stop to begin", () => server.stderr.includes('"stopping"'));
  assert.equal(await finish(), 200);
  assert.equal((await server.ended()).code, 0);
});

test("a stop cuts off what does not finish within --drain-timeout", async () => {
  const args = ["--store", "memory:", "--drain-timeout", "500ms"];
  const { server, url } = await serve(args, { cwd: await newFolder() });
  const other = await serve(LONG_DRAIN, { cwd: await newFolder() });
  const both = [{ server, url }, other];
  await Promise.all(both.map((one) => beginPut(one.url)));
  for (const one of both) one.server.signal("SIGTERM");
  assert.equal((await server.ended()).code, 0);
  assert.equal(other.server.isRunning, true, "the one with more time is still waiting");
  other.server.signal("SIGKILL");
  await other.server.ended();
});

test("a store is given its time to close, also where the process was held up meanwhile", async () => {
  const drainMs = 1_000;
  const args = ["--store", "memory:", "--drain-timeout", `${drainMs}ms`];
  const { server, url } = await serve(args, { cwd: await newFolder() });
  await beginPut(url);
  server.signal("SIGTERM");
  await waitUntil("the stop to begin", () => server.stderr.includes('"stopping"'));
  await pause({ signal: (name) => server.signal(name), pids: [server.pid] });
  const heldUpAt = performance.now();
  await waitUntil("all of the time to be over", () => performance.now() - heldUpAt > drainMs);
  server.signal("SIGCONT");
  const { code, stderr } = await server.ended();
  assert.equal(code, 0, stderr);
});

test("a second signal ends the process at once", async () => {
  const { server, url } = await serve(LONG_DRAIN, { cwd: await newFolder() });
  await beginPut(url);
  server.signal("SIGTERM");
  await waitUntil("the stop to begin", () => server.stderr.includes('"stopping"'));
  server.signal("SIGINT");
  assert.equal((await server.ended()).code, 130);
});

test("a port in use is named, with another one to take, and nothing is created", async () => {
  const cwd = await newFolder();
  const other = createServer();
  other.listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  const result = await vss(["--port", String(port)], { cwd });
  await assertUsageError(result, cwd, new RegExp(`Port ${port} .*in use.*--port ${port + 1}`));
  other.close();
});

test("mistakes of the caller are one line, exit code 2, and nothing is created", async () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [["--prot", "80"], /no flag --prot\. Did you mean --port\?/],
    [["--port", "eighty"], /--port is a whole number/],
    [["--store", "postgres://127.0.0.1"], /"postgres:".*sqlite:/],
    [["--store", "sqlite:"], /sqlite/],
    [["--store", "redis://127.0.0.1:port"], /redis/i],
    [["--store", "mongodb://"], /mongodb/i],
    [["--store", "mysql://127.0.0.1:3306/a/b"], /database's name/],
    [["--store", "redis://127.0.0.1:6379/?bogus=1"], /bogus/],
    [["--host", "192.0.2.1"], /--host 192\.0\.2\.1 is no address/],
    [["--retention-config", "missing.json"], /missing\.json can't be read/],
    [["serve", "redis://:hunter2@127.0.0.1"], /takes no argument "redis:\/\/:\*\*\*@127\.0\.0\.1"/],
  ];
  for (const [args, message] of cases) {
    const cwd = await newFolder();
    const port = args.includes("--port") ? [] : ["--port", "0"];
    await assertUsageError(await vss([...args, ...port], { cwd }), cwd, message);
  }
});

test("a folder that can't be written is named, exit code 2, and nothing is created", async () => {
  const cwd = await newFolder();
  const file = join(root, "a-file");
  await writeFile(file, "");
  const result = await vss(["--port", "0", "--store", `sqlite:${file}/data/state.db`], { cwd });
  await assertUsageError(result, cwd, /a-file/);
});

for (const scheme of ["redis", "mongodb", "mysql"]) {
  test(`a ${scheme} that is away is tried for --connect-timeout, then named in one line`, async () => {
    const cwd = await newFolder();
    const store = `${scheme}://user:hunter2@127.0.0.1:${await freePort()}/${scheme === "redis" ? "" : "state"}`;
    const startedAt = performance.now();
    const args = ["--port", "0", "--connect-timeout", "1s", "--log-level", "error"];
    const result = await vss([...args, "--store", store], { cwd });
    const ms = performance.now() - startedAt;
    assert.equal(result.code, 1, result.stderr);
    assert.ok(ms >= 900 && ms < 60_000, `${ms} ms`);
    assert.equal(result.stderr.trimEnd().split("\n").length, 1, result.stderr);
    assert.equal(result.stdout, "");
    assert.doesNotMatch(result.stderr, /hunter2/);
  });
}

test("a store's password is in no output, and not in the list of processes", async () => {
  const cwd = await newFolder();
  const store = `redis://:hunter2@127.0.0.1:${await freePort()}`;
  const child = new VssProcess(["--port", "0", "--connect-timeout", "1s", "--log-level", "debug"], {
    cwd,
    env: { VSS_STORE: store },
  });
  const { stdout, stderr } = await child.ended();
  assert.doesNotMatch(stdout + stderr, /hunter2/);
  assert.match(stderr, /vss: /);
});

test("the list of processes shows no password that stood on the command line", async () => {
  const store = `redis://:hunter2@127.0.0.1:${await freePort()}`;
  const args = ["--port", "0", "--connect-timeout", "10m", "--store", store];
  const child = new VssProcess(args, { cwd: await newFolder() });
  const file = `/proc/${child.pid}/cmdline`;
  await waitUntil("the title to be set", async () => {
    const line = await readFile(file, "utf8");
    return line.startsWith("vss ") && !line.includes("hunter2");
  });
  child.signal("SIGTERM");
  assert.notEqual((await child.ended()).code, 0);
});

test("the log is JSON lines on standard error, with requests only where asked for", async () => {
  for (const [args, lines] of [
    [[], 0],
    [["--log-requests"], 1],
  ] as const) {
    const { server, url } = await serve(["--store", "memory:", ...args], {
      cwd: await newFolder(),
    });
    await fetch(`${url}/k`, { method: "PUT", body: "x" });
    server.signal("SIGTERM");
    const { stderr } = await server.ended();
    const records = stderr
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.ok(records.every(({ level, time, msg }) => level && time && msg));
    assert.equal(records.filter(({ method }) => method === "PUT").length, lines, stderr);
  }
});

test("a server lives on where its log can't be written", async (t) => {
  const cwd = await newFolder();
  const port = await freePort();
  const full = await open("/dev/full", "w");
  const args = [LAUNCHER, "--store", "memory:", "--port", String(port), "--log-requests"];
  const child = spawn(process.execPath, args, { cwd, stdio: ["ignore", "ignore", full.fd] });
  endWithThis(child);
  t.after(async () => {
    child.kill("SIGKILL");
    await full.close();
  });
  const put = (): Promise<Response | undefined> =>
    fetch(`http://127.0.0.1:${port}/key`, { method: "PUT", body: "x" }).catch(() => undefined);
  await waitUntil("the server answers", async () => (await put())?.ok === true);
  for (let count = 0; count < 3; count += 1) assert.equal((await put())?.status, 200);
  assert.equal(child.exitCode, null);
});

test("variables stand for flags", async () => {
  const env = { VSS_STORE: "memory:", VSS_MAX_VALUE_SIZE: "4B" };
  const { server, url } = await serve([], { cwd: await newFolder(), env });
  const put = await fetch(`${url}/k`, { method: "PUT", body: "12345" });
  assert.equal(put.status, 413);
  server.signal("SIGTERM");
  await server.ended();
});

test("V8 leaves a processor to the thread that serves, where nobody says otherwise", async () => {
  const threadsOf = async (env: Readonly<Record<string, string>>): Promise<number> => {
    const { server } = await serve(["--store", "memory:"], { cwd: await newFolder(), env });
    const folder = `/proc/${server.pid}/task`;
    const ids = await readdir(folder);
    const names = await Promise.all(ids.map((id) => readFile(join(folder, id, "comm"), "utf8")));
    server.signal("SIGKILL");
    return names.filter((name) => name === "V8Worker\n").length;
  };
  const processors = availableParallelism();
  assert.equal(await threadsOf({}), Math.min(4, Math.max(1, processors - 1)));
  assert.equal(await threadsOf({ NODE_OPTIONS: "--v8-pool-size=3" }), 3);
});

test("a server has room for 4,096 open files before it serves", async () => {
  const { server } = await serve(["--store", "memory:"], { cwd: await newFolder() });
  const status = await readFile(`/proc/${server.pid}/status`, "utf8");
  assert.ok(Number(/FDSize:\s*(\d+)/.exec(status)?.[1]) >= 4_096, status);
  server.signal("SIGKILL");
});

test("metrics tell of requests, the engine, the process and the store's settings", async () => {
  const { server, url } = await serve(["--store", "memory:"], { cwd: await newFolder() });
  await fetch(`${url}/k`, { method: "PUT", body: "x" });
  const text = await (await fetch(`${url}/-/metrics`)).text();
  for (const line of [
    'vss_http_requests_total{method="PUT",route="/{key}",status="200"} 1',
    "vss_state_queued_writes 0",
    "vss_state_missed_changes_total 0",
    'vss_store_info{scheme="memory",product="memory"} 1',
    'vss_store_setting{name="persistence",value="none",verdict="weak"} 0',
  ]) {
    assert.ok(text.includes(`${line}\n`), line);
  }
  assert.match(text, /^process_resident_memory_bytes \d+$/m);
  server.signal("SIGTERM");
  await server.ended();
});

test("--require-durable refuses a store that may lose what it acknowledged", async () => {
  const cwd = await newFolder();
  const result = await vss(["--port", "0", "--store", "memory:", "--require-durable"], { cwd });
  assert.equal(result.code, 1);
  assert.match(result.stderr, /--require-durable refuses this store: persistence is none/);
  const { server } = await serve(["--require-durable"], { cwd });
  server.signal("SIGTERM");
  assert.equal((await server.ended()).code, 0);
});

test("help and version print to standard output", async () => {
  const cwd = await newFolder();
  const help = await vss(["--help"], { cwd });
  assert.match(help.stdout, /Usage: vss \[command\] \[flags\][\s\S]*--max-value-size <size>/);
  assert.deepEqual([help.code, help.stderr], [0, ""]);
  const version = await vss(["version"], { cwd });
  assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
});
