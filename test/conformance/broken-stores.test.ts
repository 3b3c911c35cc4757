import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { closeSuite, openSuite, runCase, type OpenSuite } from "../../src/conformance/context.ts";
import { meets, type Open, type StoreFacts } from "../../src/conformance/facts.ts";
import { STORE_CASES } from "../../src/conformance/index.ts";
import { isSelected } from "../servers/selection.ts";
import { closeDefects } from "./broken/close-defects.ts";
import type { Defect } from "./broken/defect.ts";
import { feedDefects } from "./broken/feed-defects.ts";
import { keyDefects } from "./broken/key-defects.ts";
import { lifeDefects } from "./broken/life-defects.ts";
import { readDefects } from "./broken/read-defects.ts";
import { requestDefects } from "./broken/request-defects.ts";
import { localStarter, SharedMemory } from "./broken/shared-memory.ts";
import { visibilityDefects } from "./broken/visibility-defects.ts";
import { writeDefects } from "./broken/write-defects.ts";

const SOUND: StoreFacts = {
  shared: true,
  durable: true,
  transactions: "any-keys",
  watch: "push",
};

const DEFECTS: readonly Defect[] = [
  ...keyDefects,
  ...readDefects,
  ...writeDefects,
  ...requestDefects,
  ...lifeDefects,
  ...feedDefects,
  ...visibilityDefects,
  ...closeDefects,
];

const CASE_TIMEOUT_MS = 120_000;

/** A defect that makes a case wait is found when its patience ends; a sound store may take its time. */
const PATIENCE_MS = { broken: 1000, sound: 60_000 };

/** Opens a suite over a memory store that all instances of a URL share, with a defect or without. */
async function openLocalSuite(defect?: Defect): Promise<OpenSuite> {
  const memory = new SharedMemory();
  const shared = new Map<string, Map<string, unknown>>();
  const open: Open = async (url, options) => {
    const store = await memory.open(url, options);
    if (defect === undefined) return store;
    const ofUrl = shared.get(url) ?? new Map<string, unknown>();
    shared.set(url, ofUrl);
    return defect.spoil(store, { options, shared: ofUrl });
  };
  return openSuite({
    facts: { ...SOUND, ...defect?.facts },
    open,
    newUrl: () => memory.newUrl(),
    startWorker: localStarter(open),
    patienceMs: defect === undefined ? PATIENCE_MS.sound : PATIENCE_MS.broken,
  });
}

function caseNamed(name: string): (typeof STORE_CASES)[number] {
  const found = STORE_CASES.find((one) => one.name === name);
  assert.ok(found !== undefined, `there is no case "${name}"`);
  return found;
}

if (isSelected("memory")) {
  describe("the suite passes a sound store over shared memory", () => {
    let suite: OpenSuite;
    before(async () => {
      suite = await openLocalSuite();
    });
    after(() => closeSuite(suite));
    for (const test of STORE_CASES) {
      if (meets(SOUND, test.needs ?? [])) it(test.name, () => runCase(suite, test));
    }
  });

  describe("the suite finds a store that", () => {
    for (const defect of DEFECTS) {
      it(`${defect.what}, by "${defect.caughtBy}"`, { timeout: CASE_TIMEOUT_MS }, async () => {
        const suite = await openLocalSuite(defect);
        const test = caseNamed(defect.caughtBy);
        assert.ok(meets(suite.resources.facts, test.needs ?? []), "the case applies to the store");
        await assert.rejects(runCase(suite, test));
        await closeSuite(suite).catch(() => {});
      });
    }
  });
}
