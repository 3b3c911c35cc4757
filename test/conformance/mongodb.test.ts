import { after } from "node:test";
import { freshUrls } from "../servers/fresh-url.ts";
import { startMongodb } from "../servers/mongodb.ts";
import { isSelected } from "../servers/selection.ts";
import { runSuites } from "./suites.ts";

if (isSelected("mongodb")) {
  const server = await startMongodb();
  runSuites({
    name: "mongodb",
    url: freshUrls(server),
    shared: true,
    durable: true,
    transactions: "one-key",
    watch: "none",
  });
  after(() => server.stop());
}
