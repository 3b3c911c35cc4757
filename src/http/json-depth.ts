const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** Of "[" and "{", and of "]" and "}": the bit apart, by which they differ, set. */
const OPENING = 0x7b;
const CLOSING = 0x7d;
const BRACE_BIT = 0x20;

/**
 * Whether arrays and objects stand within one another deeper than this. Looked at before JSON is parsed:
 * to make 100,000 of them out of one another takes tens of milliseconds, and a look ends at the first that
 * is too deep. Says nothing of whether the text is JSON.
 */
export function isDeeperThan(json: Uint8Array, depthMax: number): boolean {
  let depth = 0;
  for (let index = 0; index < json.length; index += 1) {
    const byte = json[index] ?? 0;
    if (byte === QUOTE) index = endOfString(json, index + 1);
    else if ((byte | BRACE_BIT) === OPENING) depth += 1;
    else if ((byte | BRACE_BIT) === CLOSING) depth -= 1;
    if (depth > depthMax) return true;
  }
  return false;
}

/** Where the quote stands that ends a string; the length of all where none does. */
function endOfString(json: Uint8Array, start: number): number {
  for (let index = start; index < json.length; index += 1) {
    if (json[index] === QUOTE) return index;
    if (json[index] === BACKSLASH) index += 1;
  }
  return json.length;
}
