/** Writes big-endian binary into a buffer that grows. */
export class ByteWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(size: number) {
    this.#buffer = Buffer.allocUnsafe(size);
  }

  #reserve(size: number): number {
    const start = this.#length;
    const end = start + size;
    if (end > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(end, 2 * this.#buffer.length));
      this.#buffer.copy(larger, 0, 0, start);
      this.#buffer = larger;
    }
    this.#length = end;
    return start;
  }

  u8(value: number): void {
    const start = this.#reserve(1);
    this.#buffer[start] = value;
  }

  u16(value: number): void {
    const start = this.#reserve(2);
    this.#buffer.writeUInt16BE(value, start);
  }

  u32(value: number): void {
    const start = this.#reserve(4);
    this.#buffer.writeUInt32BE(value, start);
  }

  u48(value: number): void {
    const start = this.#reserve(6);
    this.#buffer.writeUIntBE(value, start, 6);
  }

  bytes(bytes: Uint8Array): void {
    const start = this.#reserve(bytes.length);
    this.#buffer.set(bytes, start);
  }

  hex(text: string): void {
    const start = this.#reserve(text.length / 2);
    this.#buffer.write(text, start, "hex");
  }

  latin1(text: string): void {
    const start = this.#reserve(text.length);
    this.#buffer.write(text, start, "latin1");
  }

  /** A string of up to 255 bytes behind its length in one. */
  shortText(text: string): void {
    const length = Buffer.byteLength(text);
    const start = this.#reserve(1 + length);
    this.#buffer[start] = length;
    this.#buffer.write(text, start + 1, "utf8");
  }

  /** A string of up to 65,535 bytes behind its length in two. */
  text(text: string): void {
    const length = Buffer.byteLength(text);
    const start = this.#reserve(2 + length);
    this.#buffer.writeUInt16BE(length, start);
    this.#buffer.write(text, start + 2, "utf8");
  }

  /** Sets bytes that were written before, such as a length that was not known then. */
  setU16(value: number, at: number): void {
    this.#buffer.writeUInt16BE(value, at);
  }

  setU32(value: number, at: number): void {
    this.#buffer.writeUInt32BE(value, at);
  }

  get length(): number {
    return this.#length;
  }

  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }
}

/** Reads what a {@link ByteWriter}, or Lua's `struct.pack`, wrote. Slices share the buffer's memory. */
export class ByteReader {
  readonly #buffer: Buffer;
  #position = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  get isAtEnd(): boolean {
    return this.#position >= this.#buffer.length;
  }

  skip(length: number): void {
    this.#position += length;
  }

  #advance(size: number): number {
    const start = this.#position;
    this.#position = start + size;
    return start;
  }

  /** The byte that lies `offset` bytes ahead. */
  peek(offset: number): number {
    return this.#buffer.readUInt8(this.#position + offset);
  }

  u8(): number {
    return this.#buffer.readUInt8(this.#advance(1));
  }

  u16(): number {
    return this.#buffer.readUInt16BE(this.#advance(2));
  }

  u32(): number {
    return this.#buffer.readUInt32BE(this.#advance(4));
  }

  u48(): number {
    return this.#buffer.readUIntBE(this.#advance(6), 6);
  }

  bytes(length: number): Buffer {
    const start = this.#advance(length);
    return this.#buffer.subarray(start, start + length);
  }

  hex(length: number): string {
    const start = this.#advance(length);
    return this.#buffer.toString("hex", start, start + length);
  }

  text(length: number): string {
    const start = this.#advance(length);
    return this.#buffer.toString("utf8", start, start + length);
  }

  /** A string up to a byte that is not in it, which is skipped. */
  textTo(end: number): string {
    const start = this.#position;
    const at = this.#buffer.indexOf(end, start);
    this.#position = at + 1;
    return this.#buffer.toString("utf8", start, at);
  }
}
