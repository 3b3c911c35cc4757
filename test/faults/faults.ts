import { setTimeout as sleep } from "node:timers/promises";

import { pick, type Random } from "../../src/torture/random.ts";
import type { VssServer } from "../servers/vss-server.ts";
import type { BackEnd } from "./back-ends.ts";

export interface FaultContext {
  readonly backEnd: BackEnd;
  readonly servers: readonly VssServer[];
  readonly random: Random;
  /** How long a pause lasts, in milliseconds. */
  readonly pauseMs: number;
}

/** Something that goes wrong. It answers once it is over and all processes are up again. */
export interface Fault {
  readonly name: string;
  readonly what: string;
  readonly needsServer: boolean;
  readonly inject: (context: FaultContext) => Promise<void>;
}

function serverOf({ backEnd }: FaultContext): NonNullable<BackEnd["server"]> {
  if (backEnd.server === undefined) throw new Error(`${backEnd.name} has no server of its own`);
  return backEnd.server;
}

export const FAULTS: readonly Fault[] = [
  { name: "none", what: "nothing goes wrong", needsServer: false, inject: () => sleep(200) },
  {
    name: "kill-server",
    what: "a server process of ours gets SIGKILL and is started again",
    needsServer: false,
    inject: async ({ servers, random }) => {
      const victim = pick(random, servers);
      await victim.kill();
      await victim.start();
    },
  },
  {
    name: "pause-server",
    what: "a server process of ours is stopped for a while and goes on",
    needsServer: false,
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
    needsServer: true,
    inject: async (context) => {
      const server = serverOf(context);
      server.signal("SIGKILL");
      await server.restart();
    },
  },
  {
    name: "pause-back-end",
    what: "the back end is stopped for a while and goes on",
    needsServer: true,
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
    needsServer: true,
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
    needsServer: true,
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
    needsServer: true,
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
    needsServer: true,
    inject: async (context) => {
      const { proxy } = serverOf(context);
      proxy.set({ delayMs: 100 });
      await sleep(context.pauseMs);
      proxy.set({});
    },
  },
];
