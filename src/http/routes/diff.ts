import type { DiffAnswer, Which } from "../../api.ts";
import { StateError } from "../../errors.ts";
import { pickType } from "../accept.ts";
import { jsonTextAnswer, type Answer } from "../answer.ts";
import { infoMembers, member } from "../entry.ts";
import { keyOf, parseVersion } from "../path.ts";
import { choice, optional, queryParser, versionOrMoment } from "../query.ts";
import type { Route } from "../route.ts";
import { DIFF, JSON_PATCH, TEXT } from "../schemas.ts";
import { parseRfc3339 } from "../times.ts";

const PATCH_TYPE = "application/json-patch+json";
const TEXT_TYPE = "text/plain";
const TYPES = [TEXT_TYPE, PATCH_TYPE, "application/json"] as const;

const query = queryParser({
  from: versionOrMoment("The old side: a version, or a time."),
  to: optional(versionOrMoment("The new side; the latest version unless told.")),
  format: optional(
    choice(["text", "json-patch"], "What the JSON form holds; the others follow `Accept`."),
  ),
});

export const diff: Route = {
  method: "GET",
  path: "/{key}/diff",
  operation: {
    id: "diff",
    summary: "Compare two versions of a key",
    description:
      "A unified diff as text, unless `Accept` asks for JSON Patch (RFC 6902), or for the JSON form, " +
      "which says more about both versions. Values that are not UTF-8 are compared by size and digest.",
    query,
    headers: ["Accept"],
    answer: {
      description: "The difference.",
      content: {
        [`${TEXT_TYPE}; charset=utf-8`]: TEXT,
        [PATCH_TYPE]: JSON_PATCH,
        "application/json": DIFF,
      },
    },
    errors: ["version_not_found", "version_trimmed", "not_acceptable", "diff_unsupported"],
  },
  async handle(exchange) {
    const key = keyOf(exchange.url);
    const { from, to, format } = query(exchange.url);
    const type = pickType(exchange.header("accept"), TYPES);
    if (type === undefined) {
      throw new StateError("not_acceptable", `A diff comes as ${TYPES.join(", ")}.`);
    }
    const wanted = type === PATCH_TYPE || (type !== TEXT_TYPE && format === "json-patch");
    const found = await exchange.server.state.diff(key, {
      from: toWhich(from),
      ...(to === undefined ? {} : { to: toWhich(to) }),
      format: wanted ? "json-patch" : "text",
    });
    if (found === undefined) {
      throw new StateError("version_not_found", "The key or one of the versions does not exist.");
    }
    return diffAnswer(key, found, type);
  },
};

/** The schema has checked that it is one or the other. */
function toWhich(text: string): Which {
  const version = parseVersion(text);
  return version === undefined ? { at: parseRfc3339(text) ?? 0 } : { version };
}

function diffAnswer(key: string, found: DiffAnswer, type: (typeof TYPES)[number]): Answer {
  const { kind, from, to, body } = found;
  const headers = { "Cache-Control": "no-cache", Vary: "Accept" };
  if (type === "application/json") {
    const sides = `"from":{${infoMembers(from)}},"to":{${infoMembers(to)}}`;
    return jsonTextAnswer(
      `{"key":${JSON.stringify(key)},"kind":"${kind}",${sides}${member("diff", body)}}`,
      headers,
    );
  }
  const isPatch = kind === "json-patch";
  return {
    status: 200,
    headers: {
      "Content-Type": isPatch ? PATCH_TYPE : `${TEXT_TYPE}; charset=utf-8`,
      ...headers,
      "X-Content-Type-Options": "nosniff",
      "Content-Security-Policy": "sandbox",
    },
    body: kind === "binary" ? describeBinary(found) : body,
  };
}

function describeBinary({ from, to }: DiffAnswer): string {
  const isSame = from.digest === to.digest;
  return [from, to]
    .map(({ version, size, digest }) => `version ${version}: ${size} bytes, SHA-256 ${digest}\n`)
    .join("")
    .concat(isSame ? "The values are the same.\n" : "The values differ and are not text.\n");
}
