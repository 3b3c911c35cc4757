import { setTimeout as sleep } from "node:timers/promises";

import { pick } from "../../src/torture/random.ts";
import { BACK_END_NAMES, SERVER_NAMES, type BackEnd } from "./back-ends.ts";
import { ENVIRONMENT_FAULTS } from "./environment-faults.ts";
import type { Fault, FaultContext } from "./fault.ts";
import { GROUP_FAULTS } from "./group-faults.ts";

function serverOf({ backEnd }: FaultContext): NonNullable<BackEnd["server"]> {
  if (backEnd.server === undefined) throw new Error(`${backEnd.name} has no server of its own`);
  return backEnd.server;
}

/** Our own processes, the back end's, and the connections between them. */
const PROCESS_FAULTS: readonly Fault[] = [
  {
    name: "none",
    what: "nothing goes wrong",
    on: BACK_END_NAMES,
    inject: async () => {
      await sleep(200);
    },
  },
  {
    name: "kill-server",
    what: "a server process of ours gets SIGKILL and is started again",
    on: ["sqlite", ...SERVER_NAMES],
    excuses: ["connection"],
    inject: async ({ servers, random }) => {
      const victim = pick(random, servers);
      await victim.kill();
      await victim.start();
    },
  },
  {
    name: "pause-server",
    what: "a server process of ours is stopped for a while and goes on",
    on: ["sqlite", ...SERVER_NAMES],
    excuses: ["timeout"],
    inject: async ({ servers, random, pauseMs }) => {
      const victim = pick(random, servers);
      victim.signal("SIGSTOP");
      await sleep(pauseMs);
      victim.signal("SIGCONT");
    },
  },
  {
    name: "kill-back-end",
    what: "the back end gets SIGKILL and is started again over its data",
    on: SERVER_NAMES,
    inject: async (context) => {
      const server = serverOf(context);
      server.signal("SIGKILL");
      await server.restart();
    },
  },
  {
    name: "pause-back-end",
    what: "the back end is stopped for a while and goes on",
    on: SERVER_NAMES,
    inject: async (context) => {
      const server = serverOf(context);
      server.signal("SIGSTOP");
      await sleep(context.pauseMs);
      server.signal("SIGCONT");
    },
  },
  {
    name: "cut",
    what: "all connections to the back end are reset, several times",
    on: SERVER_NAMES,
    inject: async (context) => {
      for (let times = 0; times < 5; times += 1) {
        serverOf(context).proxy.cut();
        await sleep(100 + context.random() * 300);
      }
    },
  },
  {
    name: "lost-answers",
    what: "the back end's answers are swallowed, then its connections reset, several times",
    on: SERVER_NAMES,
    inject: async (context) => {
      for (let times = 0; times < 3; times += 1) {
        await serverOf(context).proxy.loseAnswers(150);
        await sleep(200 + context.random() * 300);
      }
    },
  },
  {
    name: "half-open",
    what: "what our servers send is swallowed for a while, and connections stay open",
    on: SERVER_NAMES,
    inject: async (context) => {
      const { proxy } = serverOf(context);
      proxy.set({ dropsUp: true });
      await sleep(context.pauseMs);
      // A stream with a hole in it can't go on: what was cut off stays cut off.
      proxy.cut();
      proxy.set({});
    },
  },
  {
    name: "slow",
    what: "every piece on the way to and from the back end takes 100 ms",
    on: SERVER_NAMES,
    inject: async (context) => {
      const { proxy } = serverOf(context);
      proxy.set({ delayMs: 100 });
      await sleep(context.pauseMs);
      proxy.set({});
    },
  },
];

export const FAULTS: readonly Fault[] = [...PROCESS_FAULTS, ...ENVIRONMENT_FAULTS, ...GROUP_FAULTS];
