import { after } from "node:test";
import { storeConformance } from "../../src/conformance/index.ts";
import { openStore } from "../../src/stores/index.ts";
import { freshUrls } from "../servers/fresh-url.ts";
import { startRedis } from "../servers/redis.ts";
import { isSelected } from "../servers/selection.ts";

if (isSelected("redis")) {
  const server = await startRedis();
  storeConformance({
    name: "redis",
    url: freshUrls(server),
    openStore,
    shared: true,
    durable: true,
    transactions: "any-keys",
    watch: "push",
  });
  after(() => server.stop());
}
