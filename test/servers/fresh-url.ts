import { randomBytes } from "node:crypto";
import type { TestServer } from "./process.ts";

/** Makes URLs of new, empty stores on one server: each has a `prefix` of its own. */
export function freshUrls(server: Pick<TestServer, "url">): () => string {
  return () => {
    const separator = server.url.includes("?") ? "&" : "?";
    return `${server.url}${separator}prefix=t${randomBytes(6).toString("hex")}`;
  };
}
