import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

import type { AttackResult } from "./attack.ts";
import { forkAt } from "./places.ts";

/** A process that runs one scenario against a server. */
export class Attacker {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Answers when the process is ready to begin, so that its start is no part of what is measured. */
  static async start(scenario: string, port: number): Promise<Attacker> {
    const file = join(import.meta.dirname, "attack.ts");
    const child = forkAt("attacker", file, [scenario, `${port}`]);
    await messageOf(child);
    return new Attacker(child);
  }

  async run(): Promise<AttackResult> {
    const result = messageOf(this.#child);
    this.#child.send("go");
    return (await result) as AttackResult;
  }

  stop(): void {
    this.#child.kill("SIGKILL");
  }
}

/** The next message of a child; rejects where it ends instead. */
async function messageOf(child: ChildProcess): Promise<unknown> {
  const over = new AbortController();
  const ended = once(child, "exit", over).then(([code]) => {
    throw new Error(`the process that attacks ended with exit code ${code}`);
  });
  try {
    const [message] = (await Promise.race([once(child, "message", over), ended])) as [unknown];
    return message;
  } finally {
    ended.catch(() => {});
    over.abort();
  }
}
