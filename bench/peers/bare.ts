import { once } from "node:events";
import { join } from "node:path";
import { freePort } from "../../test/servers/process.ts";
import type { WireAnswer } from "../loads/wire.ts";
import type { CannedAnswer, CannedAnswers } from "../naive/bare-server.ts";
import { nodeProgram, pidOf, startProgram, stopProgram, type Contender } from "./contender.ts";
import { OUR_SURFACE } from "./ours.ts";

/** The bare server, which can be told what to answer. */
export interface BareContender extends Contender {
  /** Answers as `get` and `put` were answered from now on. */
  answerLike(get: WireAnswer, put: WireAnswer): Promise<void>;
}

/** Headers that Node adds on its own. */
const ADDED_BY_NODE = new Set(["date", "connection", "keep-alive"]);

export async function startBare(): Promise<BareContender> {
  const port = await freePort();
  const file = join(import.meta.dirname, "..", "naive", "bare-server.ts");
  const child = await startProgram(nodeProgram(file, [`${port}`]), port, { ipc: true });
  return {
    name: "bare",
    port,
    pid: pidOf(child),
    surface: { ...OUR_SURFACE, count: undefined, isCanned: true },
    answerLike: async (get, put) => {
      const answers: CannedAnswers = { get: toCanned(get), put: toCanned(put) };
      const ready = once(child, "message");
      child.send(answers);
      await ready;
    },
    stop: () => stopProgram(child),
  };
}

/** The answer without what Node adds: the bare server's own Node adds it again. */
export function toCanned(answer: WireAnswer): CannedAnswer {
  const headers: string[] = [];
  for (let index = 0; index < answer.rawHeaders.length; index += 2) {
    const name = answer.rawHeaders[index] ?? "";
    if (ADDED_BY_NODE.has(name.toLowerCase())) continue;
    headers.push(name, answer.rawHeaders[index + 1] ?? "");
  }
  return { status: answer.status, headers, body: answer.body };
}
