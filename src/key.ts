import { KEY_BYTES_MAX } from "./limits.ts";

/**
 * A key that {@link parseKey} has checked: 1 to 512 bytes of UTF-8, compared byte by byte. Only
 * `parseKey` makes one, so no store ever sees an unchecked key.
 */
export type Key = string & { readonly [checked]: true };
declare const checked: unique symbol;

/** What {@link parseKey} answers. `reason` is a sentence for the caller. */
export type ParsedKey =
  | { readonly ok: true; readonly key: Key }
  | { readonly ok: false; readonly reason: string };

/** A printable ASCII string holds one byte per character, so its length is its size. */
const PLAIN_KEY = /^[\x20-\x7e]+$/;

const encoder = new TextEncoder();

/** Checks a key that has already been percent-decoded. Case, blanks and normal form are kept. */
export function parseKey(text: string): ParsedKey {
  if (text.length === 0) return { ok: false, reason: "A key holds at least one byte." };
  if (text === "-" || text === "." || text === "..") {
    return { ok: false, reason: `"${text}" is not a key: that path is reserved.` };
  }
  if (PLAIN_KEY.test(text)) {
    if (text.length > KEY_BYTES_MAX) return tooLong(text.length);
    return { ok: true, key: text as Key };
  }
  if (text.includes("\0")) return { ok: false, reason: "A key may not hold U+0000." };
  if (!text.isWellFormed()) return { ok: false, reason: "A key is well-formed Unicode." };
  const size = encoder.encode(text).length;
  if (size > KEY_BYTES_MAX) return tooLong(size);
  return { ok: true, key: text as Key };
}

function tooLong(size: number): ParsedKey {
  return { ok: false, reason: `A key holds at most ${KEY_BYTES_MAX} bytes; this one has ${size}.` };
}

/**
 * Orders strings by their UTF-8 bytes, which is the order of their code points. JavaScript's own
 * `<` compares UTF-16 units and puts U+1F600 before U+FFFD.
 */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i += 1) {
    const unitA = a.charCodeAt(i);
    const unitB = b.charCodeAt(i);
    if (unitA !== unitB) return codePointRank(unitA) - codePointRank(unitB);
  }
  return a.length - b.length;
}

/** Surrogates (U+D800 to U+DFFF) stand for code points above every other UTF-16 unit. */
function codePointRank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

/** The least string above `key` in key order: no key lies between the two, as none holds U+0000. */
export function keyAfter(key: string): string {
  return `${key}\0`;
}

/**
 * The least string above everything that starts with `prefix`, or `undefined` where there is none
 * (an empty prefix). Together they bound a prefix: `prefix <= key < prefixEnd(prefix)`.
 */
export function prefixEnd(prefix: string): string | undefined {
  const points = Array.from(prefix, (char) => char.codePointAt(0) ?? 0);
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    if (last === 0x10ffff) continue;
    // The code points D800 to DFFF are surrogates, which no well-formed string holds.
    const next = last === 0xd7ff ? 0xe000 : last + 1;
    return String.fromCodePoint(...points, next);
  }
  return undefined;
}

/**
 * A stable 32-bit hash of a key (FNV-1a over its UTF-16 units), for partitions and write lanes. As in
 * Redis Cluster, a key that holds a non-empty `{tag}` hashes by the tag alone, so that keys which
 * must change together share a partition.
 */
export function hashKey(key: string): number {
  let start = 0;
  let end = key.length;
  const open = key.indexOf("{");
  if (open !== -1) {
    const close = key.indexOf("}", open + 1);
    if (close > open + 1) {
      start = open + 1;
      end = close;
    }
  }
  let hash = 0x811c9dc5;
  for (let i = start; i < end; i += 1) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  // FNV's low bits mix poorly; fold the high half in, as `partition = hash % count` keeps only those.
  return (hash ^ (hash >>> 15)) >>> 0;
}
