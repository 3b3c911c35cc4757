import { constants } from "node:os";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/**
 * Hears the signals that ask for an end. The first one is handed to whoever waits for it; before
 * anyone does, and after that, a signal ends the process at once. Signals have to be listened to
 * from the start: as process 1 of a container, Linux would otherwise not deliver them.
 */
export class StopSignals {
  #resolve: ((name: NodeJS.Signals) => void) | undefined;

  constructor() {
    for (const name of SIGNALS) process.on(name, () => this.#onSignal(name));
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
