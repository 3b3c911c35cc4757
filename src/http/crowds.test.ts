import assert from "node:assert/strict";
import { Socket } from "node:net";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";

import { Crowds } from "./crowds.ts";

const ALL_ARE_HERE = { areComing: false };

/** Some addresses with so many connections each, and how many of each are paused. */
function connect(...counts: readonly number[]): {
  readonly crowds: Crowds;
  readonly parties: readonly (readonly Socket[])[];
  readonly paused: () => readonly number[];
} {
  const crowds = new Crowds();
  const parties = counts.map((count, index) =>
    Array.from({ length: count }, () => {
      const socket = new Socket();
      Object.defineProperty(socket, "remoteAddress", { value: `10.0.0.${index}` });
      socket.resume();
      crowds.add(socket);
      return socket;
    }),
  );
  const paused = (): readonly number[] =>
    parties.map((sockets) => sockets.filter((socket) => socket.isPaused()).length);
  return { crowds, parties, paused };
}

test("an address with many connections is paused for one with few", () => {
  const { crowds, paused } = connect(200, 4);
  crowds.pause(ALL_ARE_HERE);
  assert.deepEqual(paused(), [200, 0]);
});

test("an address with a small part of the connections is no crowd", () => {
  const { crowds, paused } = connect(200, 49);
  crowds.pause(ALL_ARE_HERE);
  assert.deepEqual(paused(), [200, 0]);
});

test("where all have about as many, nobody is paused", () => {
  const { crowds, paused } = connect(50, 60);
  crowds.pause(ALL_ARE_HERE);
  assert.deepEqual(paused(), [0, 0]);
});

test("where all have about as many, they are paused for those who are coming", () => {
  const { crowds, paused } = connect(50, 60);
  crowds.pause({ areComing: true });
  assert.deepEqual(paused(), [50, 60]);
});

test("each crowd is read as much of as the others, however large it is", () => {
  const { crowds, paused } = connect(1, 100, 40);
  crowds.pause(ALL_ARE_HERE);
  crowds.resumeSome();
  assert.deepEqual(paused(), [0, 92, 32]);
  for (let turn = 0; crowds.hasPaused; turn += 1) {
    assert.ok(turn < 9, `${paused()[1]} are left`);
    crowds.resumeSome();
  }
  assert.deepEqual(paused(), [0, 0, 0]);
});

test("those that are read again are not paused in the turn that is theirs", () => {
  const { crowds, paused } = connect(1, 100);
  crowds.pause(ALL_ARE_HERE);
  crowds.resumeSome();
  crowds.pause(ALL_ARE_HERE);
  assert.deepEqual(paused(), [0, 84]);
  crowds.resumeSome();
  assert.deepEqual(paused(), [0, 68]);
  crowds.pause(ALL_ARE_HERE);
  assert.deepEqual(paused(), [0, 84]);
});

test("one that somebody else reads again is paused with the others", async () => {
  const { crowds, parties, paused } = connect(1, 100);
  crowds.pause(ALL_ARE_HERE);
  parties[1]?.[99]?.resume();
  await setImmediate();
  assert.deepEqual(paused(), [0, 99]);
  crowds.resumeSome();
  crowds.pause(ALL_ARE_HERE);
  assert.deepEqual(paused(), [0, 84]);
  for (let turn = 0; crowds.hasPaused; turn += 1) {
    assert.ok(turn < 9, `${paused()[1]} are left`);
    crowds.resumeSome();
  }
  assert.deepEqual(paused(), [0, 0]);
});
