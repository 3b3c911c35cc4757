import type { Setting, StoreInfo } from "../store.ts";
import type { Settings } from "./config.ts";
import { redactUrl } from "./redact.ts";

/**
 * What a start prints: where it listens, which store it serves, what that store promises, and a line
 * to try.
 */
export function describeStart(
  { host, port, store }: Pick<Settings, "host" | "port" | "store">,
  { product, promise }: StoreInfo,
): string {
  const url = `http://${reachableHost(host)}:${port}`;
  return [
    `Listening on ${url}, store ${redactUrl(store)} (${product}).`,
    promise,
    `Try: curl -X PUT -d 'hello' ${url}/greeting`,
    "",
  ].join("\n");
}

/** An address to type: "every network" is none, and IPv6 stands in brackets. */
function reachableHost(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "localhost";
  return host.includes(":") ? `[${host}]` : host;
}

/** A sentence for each of the back end's settings that may lose an acknowledged write. */
export function weakSettings(info: StoreInfo): readonly string[] {
  return info.settings.filter(({ verdict }) => verdict !== "ok").map(describeSetting);
}

/** A sentence for each setting that its operator should know of, be it weak or not. */
export function advisedSettings(info: StoreInfo): readonly string[] {
  return info.settings
    .filter(({ verdict, advice }) => verdict !== "ok" || advice !== undefined)
    .map(describeSetting);
}

function describeSetting({ name, value, verdict, advice = "" }: Setting): string {
  const judged = verdict === "ok" ? "" : `, which is ${verdict}`;
  return `${name} is ${value}${judged}. ${advice}`.trimEnd();
}
