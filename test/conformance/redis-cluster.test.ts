import { after } from "node:test";
import { storeConformance } from "../../src/conformance/index.ts";
import { openStore } from "../../src/stores/index.ts";
import { freshUrls } from "../servers/fresh-url.ts";
import { startRedisCluster } from "../servers/redis.ts";
import { isSelected } from "../servers/selection.ts";

if (isSelected("redis-cluster")) {
  const server = await startRedisCluster({ masters: 3 });
  storeConformance({
    name: "redis-cluster",
    url: freshUrls(server),
    openStore,
    shared: true,
    durable: true,
    transactions: "one-tag",
    watch: "poll",
  });
  after(() => server.stop());
}
