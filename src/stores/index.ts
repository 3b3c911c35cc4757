import { StateError } from "../errors.ts";
import type { Store, StoreOptions } from "../store.ts";

/** Opens one kind of store. `url` is whole and unparsed: lists of hosts are not legal in a `URL`. */
export type OpenStore = (url: string, options: StoreOptions) => Promise<Store>;

/** Loads a store's module, and so its driver, only when a URL asks for it. */
const STORES: Readonly<Record<string, () => Promise<{ readonly open: OpenStore }>>> = {
  memory: () => import("./memory/store.ts"),
  sqlite: () => import("./sqlite/store.ts"),
  redis: () => import("./redis/store.ts"),
  rediss: () => import("./redis/store.ts"),
  "redis-cluster": () => import("./redis/store.ts"),
  "rediss-cluster": () => import("./redis/store.ts"),
  "redis-sentinel": () => import("./redis/store.ts"),
  mongodb: () => import("./mongodb/store.ts"),
  "mongodb+srv": () => import("./mongodb/store.ts"),
  mysql: () => import("./mysql/store.ts"),
  mariadb: () => import("./mysql/store.ts"),
};

/** Every scheme that {@link openStore} knows. */
export const STORE_SCHEMES: readonly string[] = Object.keys(STORES);

/**
 * Opens the store that a URL names, such as `memory:`, `sqlite:./data/state.db` or
 * `redis://127.0.0.1:6379/0?prefix=app`. Throws `invalid_parameter` for a URL that is not legal, and
 * `store_unavailable` where the back end stays away for `connectTimeoutMs`.
 */
export async function openStore(url: string, options: StoreOptions): Promise<Store> {
  const scheme = url.slice(0, Math.max(0, url.indexOf(":")));
  const load = STORES[scheme];
  if (load === undefined || !Object.hasOwn(STORES, scheme)) {
    const known = STORE_SCHEMES.map((name) => `${name}:`).join(", ");
    throw new StateError(
      "invalid_parameter",
      `No store has the scheme "${scheme}:". Known are ${known}.`,
      { details: { parameter: "store" } },
    );
  }
  const { open } = await load();
  return open(url, options);
}
