import { setTimeout as sleep } from "node:timers/promises";

import { hashKey } from "../../../src/key.ts";
import { closedLoop, destroyAll, openMany, putText } from "../connection.ts";
import { GARBAGE_MIB, type Found, type Scenario, type Target } from "../scenario.ts";

/** In Redis Cluster and in `hashKey`, the part in braces alone decides where a key lies. */
const COLLIDING = "%7Bone%7D";
const PLAIN = "plain-";

/** How many keys are put, by turns with those of the other kind. */
interface KeyCounts {
  readonly colliding: number;
  readonly plain: number;
}

const SLICES = 20;

/** Puts a slice of some keys at full speed; answers how long it took, in milliseconds. */
async function putSlice(
  target: Target,
  prefix: string,
  { first, length }: { readonly first: number; readonly length: number },
): Promise<number> {
  let index = first;
  const next = (): string | undefined => {
    if (index === first + length) return undefined;
    index += 1;
    return putText(`/${prefix}${index}`, "v");
  };
  const startedAt = performance.now();
  await closedLoop({ ...target, connections: 16, depth: 4, next });
  return performance.now() - startedAt;
}

async function collide(target: Target, { colliding, plain }: KeyCounts): Promise<Found> {
  if (hashKey("{one}1") !== hashKey("{one}2")) throw new Error("the keys do not collide");
  let collidingMs = 0;
  let plainMs = 0;
  const slice = (total: number, nth: number) => ({
    first: (nth * total) / SLICES,
    length: total / SLICES,
  });
  for (let nth = 0; nth < SLICES; nth += 1) {
    collidingMs += await putSlice(target, COLLIDING, slice(colliding, nth));
    plainMs += await putSlice(target, PLAIN, slice(plain, nth));
  }
  const collidingRate = (colliding / collidingMs) * 1_000;
  const plainRate = (plain / plainMs) * 1_000;
  const share = collidingRate / plainRate;
  return {
    notes: [
      `${count(collidingRate)} PUTs/s of those that collide, ${count(plainRate)} of plain ones`,
    ],
    failures: share < 0.5 ? [`keys that collide are put at ${share.toFixed(2)} of the rate`] : [],
  };
}

function sentKeys({ colliding, plain }: KeyCounts): string {
  return (
    `${count(colliding)} PUTs of keys of one lane, partition and cluster slot, by turns with ` +
    `${count(plain)} of plain keys`
  );
}

const IN_MEMORY: KeyCounts = { colliding: 100_000, plain: 100_000 };
const ON_DISK: KeyCounts = { colliding: 1_000_000, plain: 100_000 };

const collidingKeys: readonly Scenario[] = [
  {
    name: "keys named to collide",
    sent: sentKeys(IN_MEMORY),
    expected: ["200"],
    growth: {
      mebibytes: 2 * GARBAGE_MIB + ((IN_MEMORY.colliding + IN_MEMORY.plain) * 1_536) / 2 ** 20,
      why: `1.5 KiB for each of the 200,000 keys, and ${2 * GARBAGE_MIB} MiB of garbage not yet collected`,
    },
    run: (target) => collide(target, IN_MEMORY),
  },
  {
    name: "keys named to collide, sqlite",
    store: "sqlite",
    sent: sentKeys(ON_DISK),
    expected: ["200"],
    growth: {
      mebibytes: 2 * GARBAGE_MIB,
      why: `${2 * GARBAGE_MIB} MiB of garbage not yet collected`,
    },
    run: (target) => collide(target, ON_DISK),
  },
];

function count(things: number): string {
  return Math.round(things).toLocaleString("en");
}

/** Of the server that is overloaded, instead of 10,000: the machine of a test has no 100,000 clients. */
const IN_FLIGHT_MAX = 100;
const LOAD_MS = 3_000;

/** What a fast machine answers in the whole of it. */
const PUTS_MAX = 400_000;

interface LoadPlan {
  /** Each has one request under way. */
  readonly connections: number;
  /** As clients do that look at Retry-After. */
  readonly waitsWhenRefused: boolean;
}

/** Puts for a while; answers how many were good, per second. */
async function load(target: Target, { connections, waitsWhenRefused }: LoadPlan): Promise<number> {
  const { port, tally } = target;
  const until = performance.now() + LOAD_MS;
  const before = tally.of("200");
  let index = 0;
  const next = (): string | undefined => {
    index += 1;
    return performance.now() < until ? putText(`/load-${index % 1_000}`, "v") : undefined;
  };
  const pauseMs = waitsWhenRefused ? 1_000 : 0;
  await closedLoop({ port, tally, connections, depth: 1, next, pauseMs });
  return ((tally.of("200") - before) / LOAD_MS) * 1_000;
}

/** PUTs that are begun: some more than the server takes at a time. */
const BEGUN = 1.5 * IN_FLIGHT_MAX;

/** Begins PUTs whose bodies never come; answers how many were refused: not after reading them. */
async function refuseUnread({ port, tally }: Target): Promise<number> {
  const connections = await openMany(port, BEGUN, tally);
  const { promise: enough, resolve } = Promise.withResolvers<void>();
  let refused = 0;
  for (const connection of connections) {
    connection.onAnswer = (answer) => {
      tally.addAnswer(answer);
      if (answer.status === 503) refused += 1;
      if (refused === BEGUN - IN_FLIGHT_MAX) resolve();
    };
    connection.send("PUT /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
  }
  await Promise.race([enough, sleep(5_000, undefined, { ref: false })]);
  destroyAll(connections);
  return refused;
}

async function overload(target: Target): Promise<Found> {
  const { tally } = target;
  const busy = { connections: 0.7 * IN_FLIGHT_MAX, waitsWhenRefused: true };
  const busyBefore = await load(target, busy);
  const connections = 10 * IN_FLIGHT_MAX;
  const politeRate = await load(target, { connections, waitsWhenRefused: true });
  const rudeRate = await load(target, { connections, waitsWhenRefused: false });
  // Once more, as other work on the machine comes and goes.
  const busyAfter = await load(target, busy);
  const busyRate = Math.min(busyBefore, busyAfter);
  const refusedUnread = await refuseUnread(target);
  const rates = [busyBefore, politeRate, rudeRate, busyAfter].map(count);
  return {
    notes: [
      `${rates[0]} good answers/s with 70 under way, ${rates[1]} with 1,000 that come back after a ` +
        `second, ${rates[2]} with 1,000 that come back at once, ${rates[3]} with 70 again`,
      `${refusedUnread} PUTs of ${BEGUN} refused whose bodies were never sent`,
    ],
    failures: [
      ...[politeRate, rudeRate]
        .map((rate) => rate / busyRate)
        .filter((share) => share < 0.5)
        .map((share) => `ten times the load leaves ${share.toFixed(2)} of the rate`),
      ...(tally.of("503") === 0 ? ["nothing was refused"] : []),
      ...(refusedUnread < BEGUN - IN_FLIGHT_MAX ? ["refusals wait for the body"] : []),
    ],
  };
}

const overloads: readonly Scenario[] = [undefined, "sqlite" as const].map((store) => ({
  name: store === undefined ? "overload" : `overload, ${store}`,
  ...(store === undefined ? {} : { store }),
  args: ["--max-in-flight", `${IN_FLIGHT_MAX}`],
  sent:
    "PUTs to a server that takes 100 requests at a time: 70 under way for 3 s, then 1,000 of clients " +
    "that wait for a second when refused, 1,000 of clients that do not, and 70 again, 3 s each",
  expected: ["200", "503"],
  growth: {
    mebibytes: 2 * GARBAGE_MIB + (store === undefined ? PUTS_MAX / 2 ** 11 : 0),
    why: `${2 * GARBAGE_MIB} MiB of garbage not yet collected, as there are 1,000 connections${
      store === undefined ? ", and half a KiB for each of 400,000 values that it keeps" : ""
    }`,
  },
  run: overload,
}));

export const MANY = [...collidingKeys, ...overloads];
