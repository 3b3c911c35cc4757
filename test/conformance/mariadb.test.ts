import { after } from "node:test";
import { storeConformance } from "../../src/conformance/index.ts";
import { openStore } from "../../src/stores/index.ts";
import { freshUrls } from "../servers/fresh-url.ts";
import { startMariadb } from "../servers/mariadb.ts";
import { isSelected } from "../servers/selection.ts";

if (isSelected("mariadb")) {
  const server = await startMariadb();
  storeConformance({
    name: "mariadb",
    url: freshUrls(server),
    openStore,
    shared: true,
    durable: true,
    transactions: "any-keys",
    watch: "poll",
  });
  after(() => server.stop());
}
