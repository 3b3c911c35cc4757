import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

import { ROUTES } from "../../src/http/routes/index.ts";
import { serve, type Served } from "./serve.ts";

interface Response3 {
  readonly content?: Readonly<Record<string, { readonly schema: object }>>;
}

interface Operation3 {
  readonly operationId: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required: boolean;
    readonly schema: Readonly<Record<string, unknown>>;
  }[];
  readonly responses: Readonly<Record<string, Response3>>;
}

interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation3>>>>;
  readonly components: { readonly schemas: { readonly Problem: object } };
}

let served: Served;
let document: Document;
before(async () => {
  served = await serve();
  const response = await fetch(`${served.url}/-/openapi.json`);
  assert.equal(response.headers.get("content-type"), "application/json");
  document = (await response.json()) as Document;
});
after(() => served[Symbol.asyncDispose]());

test("the document is legal OpenAPI 3.1", async () => {
  const { valid, errors } = await new Validator().validate({ ...document });
  assert.ok(valid, JSON.stringify(errors, undefined, 2));
  assert.equal(document.openapi, "3.1.0");
});

test("every route but the pages is in it, once", () => {
  const described = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.keys(item)
      .filter((name) => name !== "parameters")
      .map((method) => `${method.toUpperCase()} ${path}`),
  );
  const served3 = ROUTES.filter(({ path }) => !/^\/-\/(docs|ui|openapi)/.test(path));
  assert.deepEqual(
    described.toSorted(),
    served3.map(({ method, path }) => `${method} ${path}`).toSorted(),
  );
  const ids = Object.values(document.paths).flatMap((item) =>
    Object.values(item).flatMap(({ operationId }) => operationId ?? []),
  );
  assert.equal(new Set(ids).size, ids.length);
});

test("a query parameter is described by the schema that checks it", () => {
  const parameters = document.paths["/{key}/versions"]?.["get"]?.parameters ?? [];
  assert.deepEqual(
    parameters.map(({ name, in: where, required, schema }) => ({ name, where, required, schema })),
    [
      {
        name: "limit",
        where: "query",
        required: false,
        schema: { type: "integer", minimum: 1, maximum: 1000 },
      },
      {
        name: "before",
        where: "query",
        required: false,
        schema: { type: "integer", minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
      },
      { name: "values", where: "query", required: false, schema: { type: "boolean" } },
    ],
  );
  const restore = document.paths["/-/restore"]?.["post"]?.parameters ?? [];
  const at = restore.find(({ name }) => name === "at");
  assert.equal(at?.required, true);
  assert.deepEqual(at.schema, { type: "string", format: "date-time" });
});

/** A request, and where the document says what may answer it. */
interface Case {
  readonly method: string;
  readonly path: string;
  readonly route: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

const CASES: readonly Case[] = [
  { method: "PUT", path: "/o?message=m&author=a", route: "/{key}", body: "one" },
  { method: "PUT", path: "/o", route: "/{key}", body: "two", headers: { "content-type": "a/b" } },
  { method: "PUT", path: "/o?cas=9", route: "/{key}", body: "x" },
  { method: "PUT", path: "/o?x", route: "/{key}", body: "x" },
  { method: "PUT", path: "/-", route: "/{key}", body: "x" },
  { method: "GET", path: "/o", route: "/{key}" },
  { method: "GET", path: "/o?raw", route: "/{key}" },
  { method: "GET", path: "/o", route: "/{key}", headers: { "if-none-match": "*" } },
  { method: "GET", path: "/none", route: "/{key}" },
  { method: "GET", path: "/o/1", route: "/{key}/{version}" },
  { method: "GET", path: "/o/9", route: "/{key}/{version}" },
  { method: "GET", path: "/o/versions?values=true", route: "/{key}/versions" },
  { method: "GET", path: "/o/versions?limit=1", route: "/{key}/versions" },
  { method: "GET", path: "/none/versions", route: "/{key}/versions" },
  { method: "GET", path: "/o/diff?from=1&to=2", route: "/{key}/diff" },
  {
    method: "GET",
    path: "/o/diff?from=1",
    route: "/{key}/diff",
    headers: { accept: "application/json" },
  },
  { method: "GET", path: "/o/diff?from=1", route: "/{key}/diff", headers: { accept: "a/b" } },
  {
    method: "GET",
    path: "/o/diff?from=1",
    route: "/{key}/diff",
    headers: { accept: "application/json-patch+json" },
  },
  { method: "POST", path: "/o/restore?version=1", route: "/{key}/restore" },
  { method: "POST", path: "/o/restore?version=9", route: "/{key}/restore" },
  { method: "GET", path: "/-/keys?values=true", route: "/-/keys" },
  { method: "GET", path: "/-/keys?delimiter=o", route: "/-/keys" },
  { method: "GET", path: "/-/keys?limit=1", route: "/-/keys" },
  {
    method: "POST",
    path: "/-/transactions",
    route: "/-/transactions",
    body: '{"put":[{"key":"t","value":"v"}],"delete":["u"],"get":["o","none"]}',
  },
  { method: "POST", path: "/-/transactions", route: "/-/transactions", body: "{" },
  {
    method: "POST",
    path: "/-/transactions",
    route: "/-/transactions",
    body: '{"if":[{"key":"t","version":7},{"key":"o","version":7}]}',
  },
  {
    method: "POST",
    path: "/-/restore?prefix=&at=2026-01-01T00:00:00Z&dryRun",
    route: "/-/restore",
  },
  { method: "GET", path: "/-/livez", route: "/-/livez" },
  { method: "GET", path: "/-/readyz?verbose", route: "/-/readyz" },
  { method: "GET", path: "/-/metrics", route: "/-/metrics" },
  { method: "GET", path: "/", route: "/" },
  { method: "DELETE", path: "/o", route: "/{key}" },
];

test("real answers have the status, type and shape that the document allows", async () => {
  const ajv = new Ajv2020({ strict: false });
  addFormats.default(ajv);
  for (const { method, path, route, headers = {}, body } of CASES) {
    const name = `${method} ${path}`;
    const init = body === undefined ? { method, headers } : { method, headers, body };
    const response = await fetch(served.url + path, init);
    const responses = document.paths[route]?.[method.toLowerCase()]?.responses;
    const described = responses?.[response.status];
    assert.ok(described, `${name}: ${response.status} is not described`);
    const text = await response.text();
    if (described.content === undefined) {
      assert.equal(text, "", name);
      continue;
    }
    const type = response.headers.get("content-type")?.split(";")[0] ?? "";
    const found = Object.entries(described.content).find(([key]) => key.split(";")[0] === type);
    const schema = found?.[1].schema ?? described.content["*/*"]?.schema;
    assert.ok(schema, `${name}: ${type} is not described`);
    if (!type.endsWith("json")) continue;
    const check: ValidateFunction = ajv.compile({ ...schema, components: document.components });
    assert.ok(check(JSON.parse(text)), `${name}: ${JSON.stringify(check.errors)} ${text}`);
  }
});

test("the viewer's page and assets come from this server, and may load nothing else", async () => {
  const page = await fetch(`${served.url}/-/docs`);
  assert.equal(page.headers.get("content-type"), "text/html; charset=utf-8");
  const policy = page.headers.get("content-security-policy") ?? "";
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /https?:|unsafe-eval|script-src[^;]*unsafe-inline/);
  const html = await page.text();
  const links = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link]) => link ?? "");
  assert.ok(links.length >= 3);
  for (const link of links) {
    assert.match(link, /^\/-\//);
    const response = await fetch(served.url + link);
    assert.equal(response.status, 200, link);
    assert.ok((await response.text()).length > 50, link);
  }
  for (const file of ["nothing.js", "..%2Fpackage.json", "constructor"]) {
    assert.equal((await fetch(`${served.url}/-/docs/${file}`)).status, 404, file);
  }
});

test("the root sends a browser to the pages, and tells anyone else where things are", async () => {
  const browser = await fetch(served.url, {
    headers: { Accept: "text/html,application/xhtml+xml,*/*;q=0.8" },
    redirect: "manual",
  });
  assert.equal(browser.status, 302);
  assert.equal(browser.headers.get("location"), "/-/ui/");
  assert.equal((await fetch(`${served.url}/-/ui/`)).status, 200);
  const response = await fetch(served.url, { headers: { Accept: "*/*" } });
  const { links } = (await response.json()) as { readonly links: Readonly<Record<string, string>> };
  for (const link of Object.values(links)) {
    assert.equal((await fetch(served.url + link)).status, 200, link);
  }
});

test("the metrics count requests by route and status", async () => {
  await using own = await serve();
  await fetch(`${own.url}/m`, { method: "PUT", body: "v" });
  await fetch(`${own.url}/m`);
  await fetch(`${own.url}/m/9`);
  const response = await fetch(`${own.url}/-/metrics`);
  assert.match(response.headers.get("content-type") ?? "", /^text\/plain/);
  const text = await response.text();
  for (const line of [
    'vss_http_requests_total{method="PUT",route="/{key}",status="200"} 1',
    'vss_http_requests_total{method="GET",route="/{key}",status="200"} 1',
    'vss_http_requests_total{method="GET",route="/{key}/{version}",status="404"} 1',
    'vss_http_request_duration_seconds_count{method="PUT",route="/{key}"} 1',
    'vss_http_request_duration_seconds_bucket{method="PUT",route="/{key}",le="+Inf"} 1',
    "# TYPE vss_http_request_duration_seconds histogram",
    "vss_http_watchers 0",
  ]) {
    assert.ok(text.includes(`${line}\n`), line);
  }
});
