import { at, committed, keyOf, put, transaction } from "../../src/conformance/build.ts";
import { systemClock } from "../../src/telemetry/clock.ts";
import { openUntended, type Acknowledged } from "./sqlite-support.ts";

/**
 * A process of its own: puts batches to keys that others write too, and tells of each answer, until it is
 * sent a message.
 */

const BATCH_ITEMS = 32;

const [file = "", name = "", keys = ""] = process.argv.slice(2);

const store = await openUntended(file);
let isOver = false;
process.once("message", () => (isOver = true));
process.send?.("ready");
for (let next = 0; !isOver; next += BATCH_ITEMS) {
  const puts = Array.from({ length: BATCH_ITEMS }, (_, i) =>
    put(keyOf(`key-${(next + i) % Number(keys)}`), `${name}-${next + i}`),
  );
  const started = systemClock.monotonic();
  const outcomes = await store.commit(puts.map((one) => transaction({ puts: [one] })));
  const waitedMs = systemClock.monotonic() - started;
  const acknowledged: Acknowledged = {
    puts: puts.map(({ key, value }, i) => {
      const { version } = at(committed(at(outcomes, i)).puts, 0);
      return [key, version, Buffer.from(value).toString()];
    }),
    waitedMs,
  };
  process.send?.(acknowledged);
}
await store.close();
process.disconnect();
