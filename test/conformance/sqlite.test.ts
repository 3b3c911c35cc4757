import { after } from "node:test";
import { join } from "node:path";
import { storeConformance } from "../../src/conformance/index.ts";
import { openStore } from "../../src/stores/index.ts";
import { removeFolder, temporaryFolder } from "../servers/process.ts";
import { isSelected } from "../servers/selection.ts";

if (isSelected("sqlite")) {
  const folder = await temporaryFolder("sqlite");
  let files = 0;
  storeConformance({
    name: "sqlite",
    url: () => {
      files += 1;
      return `sqlite:${join(folder, `${files}.db`)}`;
    },
    openStore,
    shared: true,
    durable: true,
    transactions: "any-keys",
    watch: "poll",
  });
  after(() => removeFolder(folder));
}
