import type { Store, StoreOptions } from "../../store.ts";

/**
 * Opens a state in a MongoDB database: a standalone server, a replica set or a sharded cluster. The
 * driver is loaded here, when a URL asks for it.
 */
export async function open(url: string, options: StoreOptions): Promise<Store> {
  const { openMongodb } = await import("./mongodb-store.ts");
  return openMongodb(url, options);
}
