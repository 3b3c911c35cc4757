import type { Clock } from "../../telemetry/clock.ts";
import type { KeyState } from "./documents.ts";
import { Recent } from "./recent.ts";

/** How many keys' ends of log one process remembers: about 200 bytes each. */
const KEYS_MAX = 50_000;

/**
 * Remembers where logs end, so that most writes need no read before them. A stale memory is harmless:
 * the place that it points at is taken, and the write loses its race.
 */
export class StateCache extends Recent<KeyState> {
  constructor(clock: Clock) {
    super({ clock, weightMax: KEYS_MAX, weigh: () => 1 });
  }
}
