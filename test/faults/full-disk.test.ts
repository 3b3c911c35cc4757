import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";

import { SmallDisk } from "./full-disk.ts";

/** Appends to a file for ever, and prints how each attempt went. */
const WRITER = `
const { appendFileSync } = require("node:fs");
setInterval(() => {
  try {
    appendFileSync(process.argv[1], "x".repeat(10_000));
    console.log("written");
  } catch (error) {
    console.log(error.code);
  }
}, 20);
`;

for (const [how, make] of [
  ["as this machine allows", () => SmallDisk.make(8)],
  ["without a mount", () => SmallDisk.makeUnmounted()],
] as const) {
  test(`a disk that is full refuses writes until it is freed, ${how}`, async (t) => {
    const disk = await make();
    const file = join(disk.folder, "file");
    const stdio = ["ignore", "pipe", "inherit"] as const;
    const writer = spawn(process.execPath, ["-e", WRITER, file], { stdio: [...stdio] });
    t.after(async () => {
      // Who still writes could make the file anew while the folder is being removed.
      if (writer.kill("SIGKILL")) await once(writer, "exit");
      await disk.remove();
    });
    assert.ok(writer.pid !== undefined && writer.stdout !== null);
    const lines = createInterface({ input: writer.stdout });
    const next = async (isIt: (line: string) => boolean): Promise<void> => {
      for (;;) {
        const [line] = (await once(lines, "line", { signal: AbortSignal.timeout(60_000) })) as [
          string,
        ];
        if (isIt(line)) return;
      }
    };
    await next((line) => line === "written");
    await disk.fill([writer.pid]);
    await next((line) => line === (disk.isMounted ? "ENOSPC" : "EFBIG"));
    await disk.free([writer.pid]);
    await next((line) => line === "written");
  });
}
