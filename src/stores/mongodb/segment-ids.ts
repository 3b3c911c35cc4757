import { randomBytes } from "node:crypto";
import { ObjectId } from "mongodb";

/** Bytes of an id that name the writer, and of its number. */
const WRITER_BYTES = 8;
const NUMBER_BYTES = 4;
const NUMBER_MAX = 2 ** (8 * NUMBER_BYTES) - 1;

/**
 * Gives segments their `_id`: what names the writer, one store of one process, and a number that goes
 * up. So all that one writer has inserted lately lies together in the index of `_id`, in order, and
 * others can ask for it (see `OtherWriters`). An id that MongoDB would make begins with the time, and
 * those of all writers are mixed up.
 */
export class SegmentIds {
  #writer = randomBytes(WRITER_BYTES);
  #number = 0;

  next(): ObjectId {
    if (this.#number === NUMBER_MAX) {
      this.#writer = randomBytes(WRITER_BYTES);
      this.#number = 0;
    }
    this.#number += 1;
    const bytes = Buffer.alloc(WRITER_BYTES + NUMBER_BYTES);
    bytes.set(this.#writer);
    bytes.writeUInt32BE(this.#number, WRITER_BYTES);
    return new ObjectId(bytes);
  }

  isOwn(id: ObjectId): boolean {
    return writerOf(id) === this.#writer.toString("hex");
  }
}

/** Names who made an id. */
export function writerOf(id: ObjectId): string {
  return id.toHexString().slice(0, 2 * WRITER_BYTES);
}

/** No id of a writer is greater. */
export function lastIdOf(writer: string): ObjectId {
  return new ObjectId(writer + "ff".repeat(NUMBER_BYTES));
}
