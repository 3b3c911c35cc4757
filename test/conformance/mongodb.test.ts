import { after } from "node:test";
import { storeConformance } from "../../src/conformance/index.ts";
import { openStore } from "../../src/stores/index.ts";
import { freshUrls } from "../servers/fresh-url.ts";
import { startMongodb } from "../servers/mongodb.ts";
import { isSelected } from "../servers/selection.ts";

if (isSelected("mongodb")) {
  const server = await startMongodb();
  storeConformance({
    name: "mongodb",
    url: freshUrls(server),
    openStore,
    shared: true,
    durable: true,
    transactions: "one-key",
    watch: "none",
  });
  after(() => server.stop());
}
