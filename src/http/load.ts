import { StateError } from "../errors.ts";
import type { HttpLimits } from "./options.ts";

/** What requests under way hold, and the bounds that turn further ones away. */
export class Load {
  readonly #limits: HttpLimits;
  inFlight = 0;
  heldBytes = 0;

  constructor(limits: HttpLimits) {
    this.#limits = limits;
  }

  /** Whether another request may start. */
  get isFull(): boolean {
    return this.inFlight >= this.#limits.inFlightMax || this.heldBytes >= this.#limits.heldBytesMax;
  }

  /** Whether this many bytes more may be held. */
  hasRoom(bytes: number): boolean {
    return this.heldBytes + bytes <= this.#limits.heldBytesMax;
  }
}

/** What a request is answered that came when the server had too much under way. */
export function overloaded(): StateError {
  return new StateError(
    "overloaded",
    "The server has too many requests under way. Nothing was written; try again shortly.",
  );
}
