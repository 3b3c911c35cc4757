import { StateError } from "../errors.ts";
import type { Readiness } from "../http/options.ts";
import type { Store } from "../store.ts";
import type { Clock } from "../telemetry/clock.ts";

/** How long one answer of the store counts, in milliseconds: probes come from many sides. */
const PROBE_TTL_MS = 500;

/** Asks the store whether it answers, once for all who ask within half a second. */
export function readinessOf(store: Store, clock: Clock): () => Promise<Readiness> {
  let answer: Promise<Readiness> | undefined;
  let askedAt = 0;
  return () => {
    if (answer === undefined || clock.monotonic() - askedAt > PROBE_TTL_MS) {
      askedAt = clock.monotonic();
      answer = probe(store);
    }
    return answer;
  };
}

async function probe(store: Store): Promise<Readiness> {
  try {
    await store.ping();
    return { ready: true };
  } catch (error) {
    if (!(error instanceof StateError)) throw error;
    return { ready: false, reason: error.message };
  }
}
