import { after } from "node:test";
import { freshUrls } from "../servers/fresh-url.ts";
import { startMongodb } from "../servers/mongodb.ts";
import { isSelected } from "../servers/selection.ts";
import { runSuites } from "./suites.ts";

if (isSelected("mongodb-replica-set")) {
  const server = await startMongodb({ replicaSet: true });
  runSuites({
    name: "mongodb-replica-set",
    url: freshUrls(server),
    shared: true,
    durable: true,
    transactions: "any-keys",
    watch: "push",
  });
  after(() => server.stop());
}
