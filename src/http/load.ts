import { StateError } from "../errors.ts";
import type { HttpLimits } from "./options.ts";

/** Of the requests that may be under way, so many are kept for addresses with few: a quarter at most. */
const KEPT_MAX = 64;

/** What one address may have of these. */
const KEPT_EACH = 4;

/**
 * What requests under way hold, and the bounds that turn further ones away. The last places are kept
 * for addresses that take few of them, so that one client which asks for too much does not have all
 * others refused.
 */
export class Load {
  readonly #limits: HttpLimits;
  /** Requests from which on only kept places are left. */
  readonly #keptFrom: number;
  readonly #keptTaken = new Map<string, number>();
  inFlight = 0;
  heldBytes = 0;

  constructor(limits: HttpLimits) {
    this.#limits = limits;
    this.#keptFrom = limits.inFlightMax - Math.min(KEPT_MAX, Math.floor(limits.inFlightMax / 4));
  }

  /** Whether another request needs one of the places that are kept. */
  get isCrowded(): boolean {
    return this.inFlight >= this.#keptFrom || this.heldBytes >= this.#limits.heldBytesMax;
  }

  /** Takes a place that is kept for an address; false where there is none for it. */
  takeKept(address: string): boolean {
    const { inFlightMax, heldBytesMax } = this.#limits;
    const taken = this.#keptTaken.get(address) ?? 0;
    if (taken >= KEPT_EACH || this.inFlight >= inFlightMax || this.heldBytes >= heldBytesMax) {
      return false;
    }
    this.#keptTaken.set(address, taken + 1);
    return true;
  }

  leaveKept(address: string): void {
    const taken = this.#keptTaken.get(address) ?? 0;
    if (taken > 1) this.#keptTaken.set(address, taken - 1);
    else this.#keptTaken.delete(address);
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
