import { storeConformance } from "../../src/conformance/index.ts";
import type { StoreFacts } from "../../src/conformance/facts.ts";
import { openStore } from "../../src/stores/index.ts";
import { modelRun } from "../model/run.ts";
import { isSelected } from "../servers/selection.ts";
import { SharedMemory } from "./broken/shared-memory.ts";
import { runStateSuites } from "./suites.ts";

if (isSelected("memory")) {
  const facts: StoreFacts = {
    shared: false,
    durable: false,
    transactions: "any-keys",
    watch: "push",
  };
  storeConformance({ ...facts, name: "memory", url: () => "memory:", openStore });
  modelRun({ ...facts, name: "memory", url: () => "memory:", openStore, steps: 20_000 });
  // Two engines over one memory store: what the state suite wants to open more than once.
  const memory = new SharedMemory();
  const url = (): string => memory.newUrl();
  runStateSuites({ ...facts, name: "memory", url }, memory.open);
}
