import { randomBytes } from "node:crypto";
import type { TestServer } from "./process.ts";

/** Makes URLs of new, empty stores on one server: each has a `prefix` of its own, and may have more. */
export function freshUrls(server: Pick<TestServer, "url">, more: readonly string[] = []) {
  return (): string => {
    const separator = server.url.includes("?") ? "&" : "?";
    const parameters = [`prefix=t${randomBytes(6).toString("hex")}`, ...more];
    return `${server.url}${separator}${parameters.join("&")}`;
  };
}
