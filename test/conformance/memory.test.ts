import { storeConformance } from "../../src/conformance/index.ts";
import { openStore } from "../../src/stores/index.ts";
import { isSelected } from "../servers/selection.ts";

if (isSelected("memory")) {
  storeConformance({
    name: "memory",
    url: () => "memory:",
    openStore,
    shared: false,
    durable: false,
    transactions: "any-keys",
    watch: "push",
  });
}
