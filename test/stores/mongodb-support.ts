import { after } from "node:test";
import { MongoClient, type Collection, type Document } from "mongodb";
import { unique } from "../../src/conformance/build.ts";
import { openStore } from "../../src/stores/index.ts";
import type { Store, StoreOptions } from "../../src/store.ts";
import { systemClock, type Clock } from "../../src/telemetry/clock.ts";
import { silentLog } from "../../src/telemetry/log.ts";
import type { TestServer } from "../servers/process.ts";
import { PATIENCE_MS } from "./support.ts";

/** The real clocks, each moved by as much as a test likes. */
export class MovableClocks implements Clock {
  wallOffsetMs = 0;
  steadyOffsetMs = 0;

  now(): number {
    return systemClock.now() + this.wallOffsetMs;
  }

  monotonic(): number {
    return systemClock.monotonic() + this.steadyOffsetMs;
  }
}

export function optionsWith(more: Partial<StoreOptions> = {}): StoreOptions {
  const defaults = { clock: systemClock, log: silentLog };
  return { ...defaults, timeoutMs: PATIENCE_MS, connectTimeoutMs: PATIENCE_MS, ...more };
}

/** One state on a server: stores over it, and its collections as MongoDB shows them. */
export class TestState {
  readonly url: string;
  readonly #prefix: string;
  readonly #client: MongoClient;
  readonly #stores: Store[] = [];

  constructor(server: Pick<TestServer, "url">) {
    this.#prefix = `t${unique()}`;
    this.url = `${server.url}?prefix=${this.#prefix}`;
    this.#client = new MongoClient(server.url);
    after(async () => {
      await Promise.all(this.#stores.map((store) => store.close()));
      await this.#client.close();
    });
  }

  async open(more: Partial<StoreOptions> = {}, url = this.url): Promise<Store> {
    const store = await openStore(url, optionsWith(more));
    this.#stores.push(store);
    return store;
  }

  collection(name: "segments" | "requests" | "meta"): Collection<Document> {
    return this.#client.db().collection(`${this.#prefix}_${name}`);
  }

  /** The commands that MongoDB carried out on this state's collections while `run` ran. */
  async profile(run: () => Promise<unknown>): Promise<readonly Document[]> {
    const db = this.#client.db();
    const seen = db.collection("system.profile");
    await db.command({ profile: 0 });
    await seen.drop();
    await db.command({ profile: 2 });
    await run();
    await db.command({ profile: 0 });
    const ofState = `${db.databaseName}.${this.#prefix}_`;
    const commands: readonly Document[] = await seen.find().toArray();
    return commands.filter(({ ns }) => String(ns).startsWith(ofState));
  }

  /** The URL of this state by another way to its server. */
  through(host: string): string {
    return `mongodb://${host}/vss?directConnection=true&prefix=${this.#prefix}`;
  }
}
