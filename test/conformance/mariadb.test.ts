import { after } from "node:test";
import { freshUrls } from "../servers/fresh-url.ts";
import { startMariadb } from "../servers/mariadb.ts";
import { isSelected } from "../servers/selection.ts";
import { runSuites } from "./suites.ts";

if (isSelected("mariadb")) {
  const server = await startMariadb();
  runSuites({
    name: "mariadb",
    url: freshUrls(server),
    shared: true,
    durable: true,
    transactions: "any-keys",
    watch: "poll",
  });
  after(() => server.stop());
}
