import { MongoClient } from "mongodb";
import { naiveArguments, serveNaive, type NaiveEntry } from "./http.ts";

interface Head {
  readonly _id: string;
  readonly version: number;
}

interface Version extends NaiveEntry {
  readonly key: string;
}

/** findOneAndUpdate counts the version up, insertOne stores it. A reader may come in between. */
const { port, url } = naiveArguments();
const client = new MongoClient(url, { writeConcern: { w: "majority", journal: true } });
await client.connect();
const heads = client.db().collection<Head>("naive_heads");
const versions = client.db().collection<Version>("naive_versions");
await versions.createIndex({ key: 1, version: -1 }, { unique: true });

function answer(found: Version | null): NaiveEntry | undefined {
  return found === null ? undefined : { value: found.value, version: found.version };
}

await serveNaive(
  {
    put: async (key, value) => {
      const head = await heads.findOneAndUpdate(
        { _id: key },
        { $inc: { version: 1 } },
        { upsert: true, returnDocument: "after" },
      );
      const version = head?.version ?? 0;
      await versions.insertOne({ key, version, value });
      return version;
    },
    get: async (key) => answer(await versions.findOne({ key }, { sort: { version: -1 } })),
    getVersion: async (key, version) => answer(await versions.findOne({ key, version })),
  },
  port,
);
