import { forEachParallel } from "../../../bench/loads/wire.ts";
import { Connection, getText } from "../connection.ts";
import { BAD_PATHS, MALFORMED } from "../malformed.ts";
import { GARBAGE, GARBAGE_MIB, type Scenario } from "../scenario.ts";

const REQUESTS = 60_000;
const PARALLEL = 100;

const SHAPES: readonly Buffer[] = [
  ...MALFORMED.map((text) => Buffer.from(text, "latin1")),
  ...BAD_PATHS.map((path) => Buffer.from(getText(path))),
];

/** Sends one request on a connection of its own, and waits for its answer. */
async function sendOne(port: number, bytes: Buffer): Promise<string> {
  const connection = await Connection.open(port);
  const { promise, resolve } = Promise.withResolvers<string>();
  connection.onAnswer = ({ status }) => resolve(`${status}`);
  connection.socket.on("close", () => resolve("closed"));
  connection.send(bytes);
  const outcome = await promise;
  connection.destroy();
  return outcome;
}

const malformed: Scenario = {
  name: "malformed requests",
  sent: `60,000 requests of ${SHAPES.length} shapes: smuggling, NUL, broken escapes, not UTF-8`,
  expected: ["400"],
  growth: { mebibytes: GARBAGE_MIB, why: GARBAGE },
  async run({ port, url, tally }) {
    const wrong = new Set<string>();
    await forEachParallel(REQUESTS, PARALLEL, async (index) => {
      const bytes = SHAPES[index % SHAPES.length];
      if (bytes === undefined) return;
      const outcome = await sendOne(port, bytes);
      tally.add(outcome);
      if (outcome !== "400") wrong.add(`${outcome}: ${JSON.stringify(bytes.toString("latin1"))}`);
    });
    const failures = [...wrong];
    const { status } = await fetch(`${url}/smuggled`);
    if (status !== 404) failures.push(`a malformed request was served: ${status}`);
    return { failures };
  },
};

export const MALFORMED_REQUESTS = [malformed];
