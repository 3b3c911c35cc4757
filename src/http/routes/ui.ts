import { pageAnswer } from "../page.ts";
import type { Route } from "../route.ts";

const BODY = `<h1>Versioned State Server</h1>
<p>Every version of every key, over HTTP.</p>
<ul>
<li><a href="/-/docs">Try the API</a></li>
<li><a href="/-/openapi.json">OpenAPI document</a></li>
<li><a href="/-/keys">Keys</a></li>
<li><a href="/-/readyz?verbose">Store and settings</a></li>
<li><a href="/-/metrics">Metrics</a></li>
</ul>`;

/** Where a browser is sent from `/`. */
export const ui: Route = {
  method: "GET",
  path: "/-/ui/",
  handle: () => Promise.resolve(pageAnswer({ title: "Versioned State Server", body: BODY })),
};
