import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";

/**
 * V8 allocates what tends to live long where it is collected seldom. It learns from the first load
 * that comes: after a thousand watches, objects of short requests stay there too, and keep others
 * alive. PUTs then take 1.5 times the processor time, with pauses of 30 ms (docs/decisions/0013).
 */
const NO_PRETENURING = "--no-allocation-site-pretenuring";

/**
 * What the young generation may grow to. V8 lets it have 128 MiB under load, and a collection moves all
 * of it that lives, while no request is served: four times as much as here, in one piece
 * (docs/decisions/0021).
 */
const YOUNG_BYTES_MAX = 32 * 2 ** 20;

/** Between two looks at its size; under load it doubles after some hundred milliseconds. */
const LOOK_MS = 100;

/** Has V8 collect the garbage of a server in short pauses; for the process that serves. */
export function shortenPauses(): void {
  setFlagsFromString(NO_PRETENURING);
  let factor = 2;
  setInterval(() => {
    // V8 makes it smaller where nothing is to be done for a while, and then it must be able to grow.
    const wanted = youngBytes() < YOUNG_BYTES_MAX ? 2 : 1;
    if (wanted !== factor) setFlagsFromString(`--semi-space-growth-factor=${wanted}`);
    factor = wanted;
  }, LOOK_MS).unref();
}

function youngBytes(): number {
  const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === "new_space");
  return young?.space_size ?? 0;
}
