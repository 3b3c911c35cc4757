import { parentPort, workerData } from "node:worker_threads";

import { systemClock } from "../../telemetry/clock.ts";
import { compare, type CompareTask } from "./compare.ts";

/** Runs one comparison in a thread of its own, so that it holds up nobody, and can be ended. */
parentPort?.postMessage(compare(workerData as CompareTask, systemClock));
