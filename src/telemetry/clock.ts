/** Time as the rest of the code sees it, so that tests can move it. */
export interface Clock {
  /** Milliseconds since 1970. May step; use it for what is stored, never for a deadline. */
  now(): number;
  /** Milliseconds on a clock that never steps, for deadlines and durations. */
  monotonic(): number;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};
