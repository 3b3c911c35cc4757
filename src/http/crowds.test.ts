import assert from "node:assert/strict";
import { Socket } from "node:net";
import { test } from "node:test";

import { Crowds } from "./crowds.ts";

/** Connections of one address, read until somebody pauses them. */
function connect(crowds: Crowds, address: string, count: number): readonly Socket[] {
  return Array.from({ length: count }, () => {
    const socket = new Socket();
    Object.defineProperty(socket, "remoteAddress", { value: address });
    socket.resume();
    crowds.add(socket);
    return socket;
  });
}

function pausedOf(sockets: readonly Socket[]): number {
  return sockets.filter((socket) => socket.isPaused()).length;
}

test("an address with many connections is paused for one with few", () => {
  const crowds = new Crowds();
  const many = connect(crowds, "10.0.0.1", 200);
  const few = connect(crowds, "10.0.0.2", 4);
  crowds.pause();
  assert.deepEqual([pausedOf(many), pausedOf(few)], [200, 0]);
});

test("an address with a small part of the connections is no crowd", () => {
  const crowds = new Crowds();
  const many = connect(crowds, "10.0.0.1", 200);
  const some = connect(crowds, "10.0.0.2", 49);
  crowds.pause();
  assert.deepEqual([pausedOf(many), pausedOf(some)], [200, 0]);
});

test("where all have about as many, nobody is paused", () => {
  const crowds = new Crowds();
  const one = connect(crowds, "10.0.0.1", 50);
  const other = connect(crowds, "10.0.0.2", 60);
  crowds.pause();
  assert.deepEqual([pausedOf(one), pausedOf(other)], [0, 0]);
});

test("each crowd is read as much of as the others, however large it is", () => {
  const crowds = new Crowds();
  connect(crowds, "10.0.0.1", 1);
  const larger = connect(crowds, "10.0.0.2", 100);
  const smaller = connect(crowds, "10.0.0.3", 40);
  crowds.pause();
  crowds.resumeSome();
  assert.deepEqual([pausedOf(larger), pausedOf(smaller)], [92, 32]);
  for (let turn = 0; crowds.hasPaused; turn += 1) {
    assert.ok(turn < 9, `${pausedOf(larger)} are left`);
    crowds.resumeSome();
  }
  assert.deepEqual([pausedOf(larger), pausedOf(smaller)], [0, 0]);
});

test("those that are read again are not paused in the turn that is theirs", () => {
  const crowds = new Crowds();
  connect(crowds, "10.0.0.1", 1);
  const crowd = connect(crowds, "10.0.0.2", 100);
  crowds.pause();
  crowds.resumeSome();
  crowds.pause();
  assert.equal(pausedOf(crowd), 84);
  crowds.resumeSome();
  assert.equal(pausedOf(crowd), 68);
  crowds.pause();
  assert.equal(pausedOf(crowd), 84);
});
