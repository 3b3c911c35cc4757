import { randomInt } from "node:crypto";
import { CheckFailure, type Session } from "./session.ts";

/** How many versions are read back in random order. */
const MANY = 99;

/** Writers at once on one key. */
const WRITERS = 20;

export interface Check {
  /** A sentence about what a server does. */
  readonly name: string;
  readonly check: (session: Session) => Promise<void>;
}

/** The test script: what any server with the four routes must do, whatever store it keeps them in. */
export const SCRIPT: readonly Check[] = [
  {
    name: "a key that was never put does not exist",
    check: async (session) => {
      const key = session.newKey();
      await session.expectMissing(key);
      await session.expectMissing(key, 1);
    },
  },
  {
    name: "the first PUT is version 1, the second is version 2, and both can be read",
    check: async (session) => {
      const key = session.newKey();
      await session.put(key, "first", { version: 1 });
      await session.expectValue(key, { value: "first", version: 1 });
      await session.put(key, "second", { version: 2 });
      await session.expectValue(key, { value: "second", version: 2 });
      await session.expectValue(key, { value: "first", version: 1 }, 1);
      await session.expectValue(key, { value: "second", version: 2 }, 2);
    },
  },
  {
    name: "a version that was never put does not exist",
    check: async (session) => {
      const key = session.newKey();
      await session.put(key, "only");
      for (const version of [2, 0, -1, 1_000_000, "01", "1.0", "1e0"]) {
        await session.expectMissing(key, version);
      }
    },
  },
  {
    name: "two keys are numbered apart",
    check: async (session) => {
      const [one, other] = [session.newKey(), session.newKey()];
      await session.put(one, "a", { version: 1 });
      await session.put(one, "b", { version: 2 });
      await session.put(other, "c", { version: 1 });
      await session.expectValue(one, { value: "b", version: 2 });
    },
  },
  {
    name: `${MANY} versions of a key are read back in random order`,
    check: async (session) => {
      const key = session.newKey();
      const versions = Array.from({ length: MANY }, (_, index) => index + 1);
      for (const version of versions) {
        await session.put(key, `value ${version}`, { version });
      }
      for (const version of shuffle(versions)) {
        await session.expectValue(key, { value: `value ${version}`, version }, version);
      }
      await session.expectValue(key, { value: `value ${MANY}`, version: MANY });
    },
  },
  {
    name: "DELETE removes a key with all its versions, and the next PUT is version 1 again",
    check: async (session) => {
      const key = session.newKey();
      await session.put(key, "old 1");
      await session.put(key, "old 2");
      await session.delete(key);
      await session.expectMissing(key);
      await session.expectMissing(key, 1);
      await session.expectMissing(key, 2);
      await session.put(key, "new 1", { version: 1 });
      await session.expectValue(key, { value: "new 1", version: 1 }, 1);
      await session.expectMissing(key, 2);
    },
  },
  {
    name: "DELETE of a key that never was answers 200, and so does a second DELETE",
    check: async (session) => {
      const key = session.newKey();
      await session.delete(key);
      await session.put(key, "x");
      await session.delete(key);
      await session.delete(key);
      await session.expectMissing(key);
    },
  },
  {
    name: "a body is stored as it was sent, whatever its Content-Type says",
    check: async (session) => {
      const values = ["", " a=1&b=%20+c ", '{"not": json', "two\r\nlines\n", "ünï©ödé 😀", '"\\/'];
      const types = [undefined, "application/x-www-form-urlencoded", "application/json", "text"];
      for (const type of types) {
        const key = session.newKey();
        for (const [index, value] of values.entries()) {
          await session.put(key, value, { contentType: type });
          await session.expectValue(key, { value, version: index + 1 });
        }
      }
    },
  },
  {
    name: "a key may hold any character, and is told apart from one that looks alike",
    check: async (session) => {
      const suffixes = [
        "/a",
        "%2Fa",
        "/A",
        " a",
        "a ",
        "é",
        "e\u0301",
        "😀",
        "?q=1",
        "#f",
        "+",
        "7",
      ];
      const keys = suffixes.map((suffix) => session.newKey(suffix));
      for (const key of keys) await session.put(key, key, { version: 1 });
      for (const key of keys) await session.expectValue(key, { value: key, version: 1 });
    },
  },
  {
    name: `${WRITERS} writers at once get versions 1 to ${WRITERS}, each with its own value`,
    check: async (session) => {
      const key = session.newKey();
      const values = Array.from({ length: WRITERS }, (_, index) => `writer ${index}`);
      const versions = await Promise.all(values.map(async (value) => session.put(key, value)));
      const sorted = versions.toSorted((a, b) => a - b);
      if (sorted.some((version, index) => version !== index + 1)) {
        throw new CheckFailure(
          `sent:     ${WRITERS} PUTs of one key at the same time\n` +
            `expected: versions 1 to ${WRITERS}, each once\ncame:     ${sorted.join(", ")}`,
        );
      }
      for (const [index, version] of versions.entries()) {
        await session.expectValue(key, { value: values[index] ?? "", version }, version);
      }
      await session.expectMissing(key, WRITERS + 1);
    },
  },
];

/** In random order: each run reads in another. */
function shuffle(items: readonly number[]): number[] {
  const shuffled = [...items];
  for (let last = shuffled.length - 1; last > 0; last -= 1) {
    const other = randomInt(last + 1);
    const moved = shuffled[last] ?? 0;
    shuffled[last] = shuffled[other] ?? 0;
    shuffled[other] = moved;
  }
  return shuffled;
}
