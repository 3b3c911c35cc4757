import { after } from "node:test";
import { freshUrls } from "../servers/fresh-url.ts";
import { startRedisCluster } from "../servers/redis.ts";
import { isSelected } from "../servers/selection.ts";
import { runSuites } from "./suites.ts";

if (isSelected("redis-cluster")) {
  const server = await startRedisCluster({ masters: 3 });
  runSuites({
    name: "redis-cluster",
    // A Redis that a busy machine holds up for a while is not away.
    url: freshUrls(server, ["socketTimeout=30000"]),
    shared: true,
    durable: true,
    transactions: "one-tag",
    watch: "poll",
  });
  after(() => server.stop());
}
