import Fastify from "fastify";

/** What a server written by hand in an afternoon needs of its back end: one call per request. */
export interface NaiveStore {
  /** Answers the new version. */
  put(key: string, value: string): Promise<number>;
  get(key: string): Promise<NaiveEntry | undefined>;
  getVersion(key: string, version: number): Promise<NaiveEntry | undefined>;
}

export interface NaiveEntry {
  readonly value: string;
  readonly version: number;
}

interface KeyRoute {
  readonly Params: { readonly key: string };
  readonly Body: string;
}

/** Serves the routes over such a store, as one would write it down. */
export async function serveNaive(store: NaiveStore, port: number): Promise<void> {
  const app = Fastify();
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "string" }, (_request, body, done) => {
    done(null, body);
  });
  app.put<KeyRoute>("/:key", async ({ params, body }) => {
    const version = await store.put(params.key, body);
    return { key: params.key, version };
  });
  app.get<KeyRoute>("/:key", async ({ params }, reply) => {
    const entry = await store.get(params.key);
    return entry ?? reply.code(404).send({ error: "not found" });
  });
  app.get<{ Params: { readonly key: string; readonly version: string } }>(
    "/:key/:version",
    async ({ params }, reply) => {
      const entry = await store.getVersion(params.key, Number(params.version));
      return entry ?? reply.code(404).send({ error: "not found" });
    },
  );
  await app.listen({ port, host: "127.0.0.1" });
  process.once("SIGTERM", () => process.exit(0));
}

/** The port and the store's URL, as the benchmark passes them. */
export function naiveArguments(): { readonly port: number; readonly url: string } {
  const [, , port, url] = process.argv;
  if (port === undefined || url === undefined) throw new Error("usage: <port> <url>");
  return { port: Number(port), url };
}
