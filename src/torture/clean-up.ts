import { StateClient } from "../client/index.ts";

/** Deletes every key of a prefix over the first of the servers. */
export async function removePrefix(servers: readonly string[], prefix: string): Promise<void> {
  const client = new StateClient(servers[0] ?? "");
  try {
    for (;;) {
      const { keys } = await client.keys({ prefix, limit: 100 });
      if (keys.length === 0) return;
      for (const { key } of keys) await client.delete(key);
    }
  } finally {
    await client.close();
  }
}
