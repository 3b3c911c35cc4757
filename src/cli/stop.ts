import cluster from "node:cluster";
import { constants } from "node:os";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** How the process that started the workers tells them to stop. */
export interface StopMessage {
  readonly stop: NodeJS.Signals;
}

function isStopMessage(message: unknown): message is StopMessage {
  return typeof message === "object" && message !== null && "stop" in message;
}

/**
 * Hears the signals that ask for an end. The first one is handed to whoever waits for it; before
 * anyone does, and after that, a signal ends the process at once. Signals have to be listened to
 * from the start: as process 1 of a container, Linux would otherwise not deliver them.
 */
export class StopSignals {
  #resolve: ((name: NodeJS.Signals) => void) | undefined;

  constructor() {
    // A terminal signals every process of its group, and a worker would hear of one stop twice: it
    // listens to the process that started it alone.
    const onSignal = (name: NodeJS.Signals): void => {
      if (cluster.isPrimary) this.#onSignal(name);
    };
    for (const name of SIGNALS) process.on(name, onSignal);
    if (cluster.isPrimary) return;
    process.on("message", (message) => {
      if (isStopMessage(message)) this.#onSignal(message.stop);
    });
  }

  /** Answers with the first signal that comes from now on. */
  async next(): Promise<NodeJS.Signals> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  #onSignal(name: NodeJS.Signals): void {
    const resolve = this.#resolve;
    this.#resolve = undefined;
    if (resolve === undefined) process.exit(128 + constants.signals[name]);
    resolve(name);
  }
}
