import { Kvm } from "@nats-io/kv";
import { connect } from "@nats-io/transport-node";
import { naiveArguments, serveNaive, type NaiveEntry } from "./http.ts";

/** JetStream's key-value bucket behind HTTP. A version is the bucket's revision, not the key's. */
const { port, url } = naiveArguments();
const connection = await connect({ servers: url });
// A bucket keeps at most 64 versions of a key.
const bucket = await new Kvm(connection).create("bench", { history: 64 });

async function read(key: string, revision?: number): Promise<NaiveEntry | undefined> {
  const entry = await bucket.get(key, revision === undefined ? undefined : { revision });
  return entry === null ? undefined : { value: entry.string(), version: entry.revision };
}

await serveNaive(
  { put: (key, value) => bucket.put(key, value), get: read, getVersion: read },
  port,
);
