import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import type { Answer } from "../answer.ts";
import { StateError } from "../../errors.ts";
import { pageAnswer } from "../page.ts";
import { pathOf } from "../path.ts";
import type { Route } from "../route.ts";

const PAGE = pageAnswer({
  title: "API · Versioned State Server",
  head: `<link rel="stylesheet" href="/-/docs/swagger-ui.css">
<script src="/-/docs/swagger-ui-bundle.js" defer></script>
<script src="/-/docs/start.js" defer></script>`,
  body: `<div id="viewer"></div>
<noscript>This page needs scripts; the document is at <a href="/-/openapi.json">/-/openapi.json</a>.</noscript>`,
});

const START = `SwaggerUIBundle({
  url: "/-/openapi.json",
  dom_id: "#viewer",
  deepLinking: true,
  validatorUrl: null,
  tryItOutEnabled: true,
});
`;

/** Asset → where its bytes come from and what they are. */
const ASSETS: Readonly<
  Record<string, { readonly type: string; readonly read: () => Promise<string | Buffer> }>
> = {
  "swagger-ui.css": { type: "text/css; charset=utf-8", read: () => readAsset("swagger-ui.css") },
  "swagger-ui-bundle.js": {
    type: "text/javascript; charset=utf-8",
    read: () => readAsset("swagger-ui-bundle.js"),
  },
  "start.js": { type: "text/javascript; charset=utf-8", read: () => Promise.resolve(START) },
};

/** Swagger UI's own files, as the package that Fastify keeps for it ships them. */
function readAsset(name: string): Promise<Buffer> {
  const url = import.meta.resolve(`@fastify/swagger-ui/static/${name}`);
  return readFile(fileURLToPath(url));
}

export const docs: Route = {
  method: "GET",
  path: "/-/docs",
  handle: () => Promise.resolve({ ...PAGE, headers: { ...PAGE.headers } }),
};

export const docsAsset: Route = {
  method: "GET",
  path: "/-/docs/{file}",
  async handle(exchange): Promise<Answer> {
    const name = pathOf(exchange.url).slice("/-/docs/".length);
    const asset = Object.hasOwn(ASSETS, name) ? ASSETS[name] : undefined;
    if (asset === undefined)
      throw new StateError("route_not_found", "There is nothing at this path.");
    return {
      status: 200,
      headers: {
        "Content-Type": asset.type,
        "Cache-Control": "public, max-age=3600",
        "X-Content-Type-Options": "nosniff",
      },
      body: await asset.read(),
    };
  },
};
