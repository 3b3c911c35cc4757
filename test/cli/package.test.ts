import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { removeFolder, temporaryFolder } from "../servers/process.ts";
import { serve, vss } from "./vss.ts";

/** The package as npm publishes it: built, and installed into a folder of its own. */
const ROOT = join(import.meta.dirname, "../..");
const run = promisify(execFile);

let app: string;
let installed: string;

before(async () => {
  app = await temporaryFolder("package");
  installed = join(app, "node_modules", "versioned-state-server");
  await mkdir(installed, { recursive: true });
  // Types are checked by `npm run check`.
  const build = ["-p", join(ROOT, "tsconfig.build.json"), "--noCheck"];
  await run("tsc", [...build, "--outDir", join(installed, "dist")], { cwd: ROOT });
  for (const name of ["bin", "package.json"]) {
    await cp(join(ROOT, name), join(installed, name), { recursive: true });
  }
  // What it depends on is there already; npm would install the same.
  await symlink(join(ROOT, "node_modules"), join(installed, "node_modules"));
  await writeFile(join(app, "package.json"), '{"type":"module"}');
});
after(async () => removeFolder(app));

test("the installed command line serves, writes in its thread and compares in its worker", async () => {
  const launcher = join(installed, "bin/vss.mjs");
  const { server, url } = await serve([], { cwd: app, launcher });
  assert.deepEqual(await vss(["check", url], { cwd: app, launcher }), {
    code: 0,
    stdout: "",
    stderr: "",
  });
  for (const letter of ["a", "b"]) {
    await fetch(`${url}/large`, { method: "PUT", body: `${letter}\n${"x\n".repeat(800_000)}` });
  }
  const diff = await fetch(`${url}/large/diff?from=1&to=2`);
  assert.equal(diff.status, 200);
  assert.match(await diff.text(), /^-a\n\+b\n/m);
  server.signal("SIGTERM");
  assert.equal((await server.ended()).code, 0);
});

const PROGRAM = `
import { open, StateError, type Store } from "versioned-state-server";
import { StateClient, type PutAnswer } from "versioned-state-server/client";
import { storeConformance } from "versioned-state-server/conformance";

const state = await open("memory:");
const put: PutAnswer = await state.put("k", "v");
const store: Store = state.store;
console.log(put.version, store.info.scheme, typeof StateClient, typeof storeConformance);
await state.close();
await state.get("k").catch((error: unknown) => console.log(error instanceof StateError));
`;

test("what is imported from it has types, and runs", async () => {
  await writeFile(join(app, "program.ts"), PROGRAM);
  const config = {
    compilerOptions: {
      strict: true,
      module: "nodenext",
      target: "es2024",
      types: ["node"],
      typeRoots: [join(ROOT, "node_modules/@types")],
      noEmit: true,
    },
    files: ["program.ts"],
  };
  await writeFile(join(app, "tsconfig.json"), JSON.stringify(config));
  await run("tsc", ["-p", "."], { cwd: app }).catch((error: unknown) => {
    assert.fail((error as { stdout: string }).stdout);
  });
  const { stdout } = await run(process.execPath, ["program.ts"], { cwd: app });
  assert.equal(stdout, "1 memory function function\ntrue\n");
});

test("the client brings nothing of Node's, so that it runs in browsers", async () => {
  const seen = new Set<string>();
  const visit = async (file: string): Promise<void> => {
    if (seen.has(file)) return;
    seen.add(file);
    const text = await readFile(file, "utf8");
    for (const [, target = ""] of text.matchAll(/^(?:import|export) .*?from "([^"]+)"/gms)) {
      assert.match(target, /^\.\.?\//, `${file} imports ${target}`);
      await visit(join(file, "..", target));
    }
  };
  await visit(join(installed, "dist/client/index.js"));
  assert.ok(seen.size > 5);
});

test("the package holds what runs and what one reads, and neither sources nor tests", async () => {
  const options = { cwd: ROOT, shell: process.platform === "win32" };
  const { stdout } = await run("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], options);
  const [pack] = JSON.parse(stdout) as [{ files: { path: string }[] }];
  const folders = new Set(pack.files.map(({ path }) => path.split("/")[0]));
  folders.delete("dist");
  const wanted = ["CHANGELOG.md", "LICENSE", "README.md", "bin", "docs", "package.json"];
  assert.deepEqual(folders, new Set(wanted));
  const built = await readdir(join(installed, "dist"), { recursive: true });
  assert.deepEqual(
    built.filter((name) => /\.test\./.test(name)),
    [],
  );
});
