import { after } from "node:test";
import { storeConformance } from "../../src/conformance/index.ts";
import { openStore } from "../../src/stores/index.ts";
import { freshUrls } from "../servers/fresh-url.ts";
import { startMongodb } from "../servers/mongodb.ts";
import { isSelected } from "../servers/selection.ts";

if (isSelected("mongodb-replica-set")) {
  const server = await startMongodb({ replicaSet: true });
  storeConformance({
    name: "mongodb-replica-set",
    url: freshUrls(server),
    openStore,
    shared: true,
    durable: true,
    transactions: "any-keys",
    watch: "push",
  });
  after(() => server.stop());
}
