import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { HttpContext } from "./http-client.ts";
import { featureCases } from "./http-features.ts";
import { routeCases, type HttpCase } from "./http-routes.ts";

/** Every case of the HTTP suite. */
export const HTTP_CASES: readonly HttpCase[] = [...routeCases, ...featureCases];

export interface HttpConformance {
  readonly name: string;
  /** Where a server listens, such as `http://127.0.0.1:5000`. */
  readonly url: () => Promise<string> | string;
}

/** Longest time that one case may take. */
const CASE_TIMEOUT_MS = 240_000;

/**
 * Registers with `node:test` the suite for a running server, whatever it is written in. It speaks
 * plain HTTP, and writes under keys of its own, some of which it deletes first: those of its odd
 * keys, such as `a b` and `__proto__`.
 */
export function httpConformance(suite: HttpConformance): void {
  describe(`HTTP conformance of ${suite.name}`, () => {
    let http: HttpContext | undefined;
    before(async () => {
      http = new HttpContext(await suite.url());
    });
    after(() => http?.close());
    for (const test of HTTP_CASES) {
      it(test.name, { timeout: CASE_TIMEOUT_MS }, async () => {
        assert.ok(http !== undefined, "the server was reached");
        await test.run(http);
      });
    }
  });
}
