/**
 * A sequence number as a feed position: positions compare as strings in the order of their numbers.
 * Base 36, 11 digits wide, which holds every safe integer.
 */
export function toPosition(sequence: number): string {
  return sequence.toString(36).padStart(11, "0");
}

/** The number behind a position; 0 for the empty string, the beginning. */
export function fromPosition(position: string): number {
  return position === "" ? 0 : Number.parseInt(position, 36);
}

/** The same, and undefined for what no {@link toPosition} made: a cursor comes from callers. */
export function parsePosition(position: string): number | undefined {
  return position === "" || /^[0-9a-z]{11}$/.test(position) ? fromPosition(position) : undefined;
}
