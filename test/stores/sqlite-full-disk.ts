import { keyOf, putOne } from "../../src/conformance/build.ts";
import { StateError } from "../../src/errors.ts";
import { openUntended } from "./sqlite-support.ts";

/** A process whose files may not grow: puts until it is refused, and prints what it was answered. */

const VALUE = Buffer.alloc(10_000, "x");

const store = await openUntended(process.argv[2] ?? "");
const acknowledged: string[] = [];
const refused: string[] = [];
while (refused.length < 3) {
  try {
    const { version } = await putOne(store, keyOf("k"), VALUE);
    acknowledged.push(String(version));
  } catch (error) {
    if (!(error instanceof StateError)) throw error;
    refused.push(`${error.code} ${error.applied}`);
  }
}
await store.close();
console.log(JSON.stringify({ acknowledged, refused }));
