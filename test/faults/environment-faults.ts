import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import { waitUntil } from "../servers/process.ts";
import { SERVER_NAMES } from "./back-ends.ts";
import type { Fault, FaultContext } from "./fault.ts";
import { unpackOldRevision } from "./old-revision.ts";
import { ShiftedClock } from "./shifted-clock.ts";

const HOUR_SECONDS = 3_600;

/** Who writes to the disk of the data: the back end, or our own processes where it is embedded. */
function writersOf({ backEnd, servers }: FaultContext): readonly number[] {
  return backEnd.server?.pids ?? servers.map(({ pid }) => pid);
}

/** Waits until what a server dates follows its clock, which is so many milliseconds off. */
async function hasStepped(server: string, offMs: number): Promise<void> {
  await waitUntil(`a clock that is ${offMs} ms off`, async () => {
    // A key keeps to the latest moment that it has had, so each try has its own.
    const answer = await fetch(`${server}/${randomUUID()}`, { method: "PUT", body: "x" });
    const { createdAt = "" } = (await answer.json()) as { readonly createdAt?: string };
    return Math.abs(Date.parse(createdAt) - Date.now() - offMs) < 60_000;
  });
}

/** What happens around the processes: disk, clock, releases. */
export const ENVIRONMENT_FAULTS: readonly Fault[] = [
  {
    name: "disk-full",
    what: "the back end's disk is full for a while; if it ends, it is started again after that",
    on: ["sqlite", ...SERVER_NAMES],
    diskMebibytes: 512,
    // Room that a back end has put by is to run out too.
    valueBytesMax: 40_000,
    inject: async (context) => {
      const { backEnd, disk, pauseMs } = context;
      if (disk === undefined) throw new Error("a full disk needs a small one");
      await disk.fill(writersOf(context));
      await sleep(pauseMs);
      await disk.free(writersOf(context));
      const { server } = backEnd;
      if (server !== undefined && !server.isRunning) await server.restart();
    },
  },
  {
    name: "clock-jump",
    what: "the clock of one server process of ours goes an hour forward, an hour back, and right",
    on: ["sqlite", ...SERVER_NAMES],
    firstServer: async (folder) => ({ under: (await ShiftedClock.make(folder)).under }),
    inject: async (context) => {
      const { servers, folder, pauseMs, backEnd } = context;
      const clock = await ShiftedClock.make(folder);
      for (const hours of [1, -1, 0]) {
        await clock.stepTo(hours * HOUR_SECONDS);
        await hasStepped(servers[0]?.url ?? "", hours * HOUR_SECONDS * 1_000);
        // Whatever remembers for a while what it has written has to prove it now.
        await backEnd.server?.proxy.loseAnswers(150);
        await sleep(pauseMs / 3);
      }
    },
  },
  {
    name: "old-and-new",
    what: "one server process is an older release; it gets SIGKILL and is started again",
    on: ["sqlite", ...SERVER_NAMES],
    excuses: ["connection"],
    firstServer: async (folder, note) => {
      const { main, args, what } = await unpackOldRevision(folder);
      note(`the older release is ${what}`);
      return { main, args };
    },
    inject: async ({ servers, pauseMs }) => {
      await sleep(pauseMs / 2);
      await servers[0]?.kill();
      await servers[0]?.start();
    },
  },
];
