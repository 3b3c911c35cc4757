import { after } from "node:test";
import { freshUrls } from "../servers/fresh-url.ts";
import { startRedis } from "../servers/redis.ts";
import { isSelected } from "../servers/selection.ts";
import { runSuites } from "./suites.ts";

if (isSelected("redis")) {
  const server = await startRedis();
  runSuites({
    name: "redis",
    // A Redis that a busy machine holds up for a while is not away.
    url: freshUrls(server, ["socketTimeout=30000"]),
    shared: true,
    durable: true,
    transactions: "any-keys",
    watch: "push",
  });
  after(() => server.stop());
}
