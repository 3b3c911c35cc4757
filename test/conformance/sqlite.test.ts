import { after } from "node:test";
import { join } from "node:path";
import { removeFolder, temporaryFolder } from "../servers/process.ts";
import { isSelected } from "../servers/selection.ts";
import { runSuites } from "./suites.ts";

if (isSelected("sqlite")) {
  const folder = await temporaryFolder("sqlite");
  let files = 0;
  runSuites({
    name: "sqlite",
    url: () => {
      files += 1;
      return `sqlite:${join(folder, `${files}.db`)}`;
    },
    shared: true,
    durable: true,
    transactions: "any-keys",
    watch: "poll",
  });
  after(() => removeFolder(folder));
}
