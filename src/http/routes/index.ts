import type { Route } from "../route.ts";
import { deleteKey } from "./delete.ts";
import { diff } from "./diff.ts";
import { docs, docsAsset } from "./docs.ts";
import { getVersion } from "./get-version.ts";
import { get } from "./get.ts";
import { keys } from "./keys.ts";
import { livez } from "./livez.ts";
import { metrics } from "./metrics.ts";
import { openapi } from "./openapi.ts";
import { put } from "./put.ts";
import { readyz } from "./readyz.ts";
import { restorePrefix } from "./restore-prefix.ts";
import { restore } from "./restore.ts";
import { root } from "./root.ts";
import { transactions } from "./transactions.ts";
import { ui } from "./ui.ts";
import { versions } from "./versions.ts";
import { watchPrefix } from "./watch-prefix.ts";
import { watch } from "./watch.ts";

const DOCUMENTED: readonly Route[] = [
  put,
  get,
  getVersion,
  deleteKey,
  versions,
  diff,
  restore,
  watch,
  keys,
  transactions,
  restorePrefix,
  watchPrefix,
  livez,
  readyz,
  metrics,
  root,
  docs,
  docsAsset,
  ui,
];

/** Every route of the server. Nothing else is served. */
export const ROUTES: readonly Route[] = [...DOCUMENTED, openapi(DOCUMENTED)];
