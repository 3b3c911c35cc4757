import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { asOfCases } from "./as-of.ts";
import { batchCases } from "./batches.ts";
import { conditionCases } from "./conditions.ts";
import { closeSuite, openSuite, runCase, type OpenSuite, type StoreCase } from "./context.ts";
import { closeCases } from "./close.ts";
import { deleteCases } from "./deletes.ts";
import { meets, type Open, type StoreFacts } from "./facts.ts";
import { feedCases } from "./feed.ts";
import { feedResumeCases } from "./feed-resume.ts";
import { historyCases } from "./history.ts";
import { importCases } from "./imports.ts";
import { keyCases } from "./keys-order.ts";
import { raceCases } from "./races.ts";
import { requestCases } from "./requests.ts";
import { restartCases } from "./restart.ts";
import { transactionCases } from "./transactions.ts";
import { trimCases } from "./trim.ts";
import { valueCases } from "./values.ts";
import { versionCases } from "./versions.ts";
import { visibilityCases } from "./visibility.ts";
import { processStarter } from "./workers.ts";

export type { Open, StoreFacts } from "./facts.ts";
export { httpConformance, type HttpConformance } from "./http.ts";
export { stateConformance, type StateConformance, type StateFacts } from "./state.ts";

/** Every case of the store suite, in the order in which they are run. */
export const STORE_CASES: readonly StoreCase[] = [
  ...versionCases,
  ...batchCases,
  ...valueCases,
  ...conditionCases,
  ...deleteCases,
  ...keyCases,
  ...historyCases,
  ...asOfCases,
  ...transactionCases,
  ...requestCases,
  ...importCases,
  ...trimCases,
  ...feedCases,
  ...feedResumeCases,
  ...visibilityCases,
  ...raceCases,
  ...restartCases,
  ...closeCases,
];

export interface StoreConformance extends StoreFacts {
  /** Heads the report, such as `redis-cluster`. */
  readonly name: string;
  /** Answers the URL of a new, empty store on every call: another file, database or prefix. */
  readonly url: () => Promise<string> | string;
  readonly openStore: Open;
  /**
   * The URL of the module from which another process gets the same `openStore` (or `open`). Unless
   * told, that of this package, which knows its own stores alone.
   */
  readonly module?: string;
  /** Cases that this store can't pass, by name, each with its reason. An unknown name fails. */
  readonly exceptions?: Readonly<Record<string, string>>;
}

/** Less than a case's time: a feed that is silent fails with what it did say. */
const PATIENCE_MS = 60_000;

/** Longest that one case may take: the slowest take seconds, and on a busy machine ten times that. */
const CASE_TIMEOUT_MS = 240_000;

/**
 * Registers the whole suite with `node:test`. It uses the store through `openStore` alone, under keys
 * of its own; nothing that was in the store before is touched.
 */
export function storeConformance(suite: StoreConformance): void {
  const exceptions = suite.exceptions ?? {};
  const known = new Set(STORE_CASES.map((test) => test.name));
  const unknown = Object.keys(exceptions).filter((name) => !known.has(name));
  if (unknown.length > 0) throw new Error(`no such cases: ${unknown.join("; ")}`);

  describe(`store conformance of ${suite.name}`, () => {
    let opened: OpenSuite | undefined;
    before(async () => {
      opened = await openSuite({
        facts: suite,
        open: suite.openStore,
        newUrl: suite.url,
        startWorker: processStarter(suite.module ?? defaultModule()),
        patienceMs: PATIENCE_MS,
      });
    });
    after(() => opened && closeSuite(opened));
    for (const test of STORE_CASES) {
      if (!meets(suite, test.needs ?? []) || Object.hasOwn(exceptions, test.name)) continue;
      it(test.name, { timeout: CASE_TIMEOUT_MS }, () => {
        assert.ok(opened !== undefined, "the store was opened");
        return runCase(opened, test);
      });
    }
  });
}

function defaultModule(): string {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return new URL(`../stores/index.${extension}`, import.meta.url).href;
}
