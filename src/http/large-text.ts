import { isUtf8 } from "node:buffer";

import type { Step } from "./one-at-a-time.ts";

/**
 * Making JSON of this much takes about a tenth of a millisecond, and less for each byte than of a
 * whole mebibyte. A multiple of three, so that pieces of base64 make one base64 together.
 */
const PIECE_BYTES = 63 * 1024;

/** Every byte of a character in UTF-8 but its first has these bits. */
const MASK = 0xc0;
const CONTINUES = 0x80;

/** What JSON has an escape for (RFC 8259, section 7); first the usual ones: line end, quote, backslash. */
const ESCAPED = [0x0a, 0x22, 0x5c, ...Array.from({ length: 0x20 }, (_, control) => control)];

/** What stands between the quotes of a value in JSON, made piece by piece. */
export class LargeText {
  readonly isText: boolean;
  readonly pieces: Buffer[] = [];
  readonly #bytes: Buffer;
  #done = 0;

  constructor(bytes: Buffer) {
    this.isText = isUtf8(bytes);
    this.#bytes = bytes;
  }

  /** Makes the next piece; true once it was the last. */
  readonly step: Step = () => {
    const end = this.isText ? this.#endOfCharacters() : this.#done + PIECE_BYTES;
    this.pieces.push(this.#piece(this.#done, end));
    this.#done = end;
    return end >= this.#bytes.byteLength;
  };

  #piece(start: number, end: number): Buffer {
    if (!this.isText) return Buffer.from(this.#bytes.toString("base64", start, end), "latin1");
    const bytes = this.#bytes.subarray(start, end);
    // Text without escapes is JSON as it stands; a mebibyte of copies would be as much garbage. To look
    // for one byte after the other takes less time than to look at every byte in a loop.
    if (!ESCAPED.some((byte) => bytes.includes(byte))) return bytes;
    const quoted = JSON.stringify(bytes.toString("utf8"));
    return Buffer.from(quoted.slice(1, -1));
  }

  #endOfCharacters(): number {
    let end = this.#done + PIECE_BYTES;
    // At the end of the bytes there is nothing, which continues nothing.
    while (((this.#bytes[end] ?? 0) & MASK) === CONTINUES) end -= 1;
    return end;
  }
}
