import { createHash } from "node:crypto";
import { StateError } from "../../errors.ts";
import { keyAfter, type Key } from "../../key.ts";
import type { EntryInfo, KeyInfo, Store } from "../../store.ts";
import { Gatherer } from "./batches.ts";
import type { Patience } from "./patience.ts";
import type { Source, SourceBatch, SourceEntry, SourceKey, Total, Wanted } from "./source.ts";

const PAGE_KEYS = 500;
const PAGE_VERSIONS = 500;

/** Up to this many versions, a key's are asked for by number, together with those of other keys. */
const SHORT_VERSIONS_MAX = 32;

/** Versions asked for at once; a longer history, which takes a call of its own, counts as many. */
const LISTED_AT_ONCE = 512;

/** What is known of an entry before it is read. */
type Listed = Pick<EntryInfo, "incarnation" | "version" | "size">;

/** An entry that is to be read, or a key that is gone. */
type Step = (Listed & { readonly key: Key }) | { readonly gone: Key };

/** Reads versions out of a store that others may go on writing to. */
export class StoreSource implements Source {
  readonly #store: Store;
  readonly #patience: Patience;

  constructor(store: Store, patience: Patience) {
    this.#store = store;
    this.#patience = patience;
  }

  async total(): Promise<Total> {
    let keys = 0;
    let versions = 0;
    for await (const page of this.pages()) {
      keys += page.length;
      for (const { version } of page) versions += version;
    }
    return { keys, versions };
  }

  async *pages(): AsyncGenerator<readonly KeyInfo[], void, undefined> {
    let from = "";
    for (;;) {
      const page = await this.#keys({ from, to: undefined, limit: PAGE_KEYS });
      if (page.length > 0) yield page;
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE_KEYS) return;
      from = keyAfter(last.key);
    }
  }

  async again(keys: readonly Key[]): Promise<readonly KeyInfo[]> {
    const pages = keys.map(async (key) => this.#keys({ from: key, to: keyAfter(key), limit: 1 }));
    return (await Promise.all(pages)).flat();
  }

  async *entries(wanted: readonly Wanted[]): AsyncGenerator<SourceBatch, void, undefined> {
    const gatherer = new Gatherer<Listed & { readonly key: Key }>();
    for await (const step of this.#steps(wanted)) {
      if ("gone" in step) {
        yield await this.#read(gatherer.take());
        yield { entries: [], gone: [step.gone] };
      } else {
        const full = gatherer.add(step);
        if (full !== undefined) yield await this.#read(full);
      }
    }
    yield await this.#read(gatherer.take());
  }

  /** What to read of each key, in order, from histories that are asked for many at a time. */
  async *#steps(wanted: readonly Wanted[]): AsyncGenerator<Step, void, undefined> {
    for (const some of inGroups(wanted)) {
      const firstPages = await this.#firstPages(some);
      for (const { info, after } of some) {
        yield* this.#stepsOfKey(info, { after, page: firstPages.get(info.key) ?? [] });
      }
    }
  }

  /** The first entries of each key: all of a short history, a page of a longer one. */
  async #firstPages(wanted: readonly Wanted[]): Promise<ReadonlyMap<Key, readonly Listed[]>> {
    const pages = new Map<Key, Listed[]>();
    const short = wanted.filter((one) => isShort(one));
    const queries = short.flatMap(({ info, after }) =>
      Array.from({ length: info.version - after }, (_, index) => ({
        key: info.key,
        select: { version: after + 1 + index },
        value: false,
      })),
    );
    const found =
      queries.length === 0 ? [] : await this.#patience.with(async () => this.#store.read(queries));
    for (const [index, { key }] of queries.entries()) {
      const entry = found[index];
      const page = pages.get(key) ?? [];
      pages.set(key, page);
      if (entry !== undefined && entry !== "trimmed") page.push(entry);
    }
    await Promise.all(
      wanted
        .filter((one) => !isShort(one))
        .map(async ({ info, after }) =>
          pages.set(info.key, [...(await this.#history(info, after))]),
        ),
    );
    return pages;
  }

  /** A key's entries up to its latest as it was listed; `gone` where they no longer follow. */
  async *#stepsOfKey(
    latest: SourceKey,
    first: { readonly after: number; readonly page: readonly Listed[] },
  ): AsyncGenerator<Step, void, undefined> {
    const { key, incarnation } = latest;
    let { after, page } = first;
    while (after < latest.version) {
      for (const { version, size, ...rest } of page) {
        if (version > latest.version) return;
        const follows = after === 0 || version === after + 1;
        if (rest.incarnation !== incarnation || !follows) return yield { gone: key };
        yield { key, incarnation, version, size };
        after = version;
      }
      if (page.length === 0) return yield { gone: key };
      if (after < latest.version) page = await this.#history(latest, after);
    }
  }

  async #history(latest: SourceKey, after: number): Promise<readonly Listed[]> {
    // The last entry is known from the list, and of most keys it is the only one.
    if (after === latest.version - 1) return [latest];
    const page = { order: "oldest-first", after, limit: PAGE_VERSIONS } as const;
    return this.#patience.with(async () => this.#store.history(latest.key, page));
  }

  async #keys(page: Parameters<Store["keys"]>[0]): Promise<readonly KeyInfo[]> {
    return this.#patience.with(async () => this.#store.keys(page));
  }

  async #read(infos: readonly (Listed & { readonly key: Key })[]): Promise<SourceBatch> {
    if (infos.length === 0) return { entries: [], gone: [] };
    const found = await this.#patience.with(async () =>
      this.#store.read(
        infos.map(({ key, version }) => ({ key, select: { version }, value: true })),
      ),
    );
    const gone = new Set<Key>();
    const entries: SourceEntry[] = [];
    for (const [index, { key, incarnation }] of infos.entries()) {
      const entry = found[index];
      if (entry === undefined || entry === "trimmed" || entry.incarnation !== incarnation) {
        gone.add(key);
      } else if (!gone.has(key)) {
        entries.push(checkDigest({ ...entry, key, value: entry.value ?? new Uint8Array() }));
      }
    }
    return { entries, gone: [...gone] };
  }
}

function isShort({ info, after }: Wanted): boolean {
  const versions = info.version - after;
  return versions > 1 && versions <= SHORT_VERSIONS_MAX;
}

/** Cuts keys into groups whose histories can be asked for at once. */
function* inGroups(wanted: readonly Wanted[]): Generator<readonly Wanted[], void, undefined> {
  let group: Wanted[] = [];
  let versions = 0;
  for (const one of wanted) {
    const weight = Math.min(one.info.version - one.after, SHORT_VERSIONS_MAX);
    if (versions + weight > LISTED_AT_ONCE) {
      yield group;
      group = [];
      versions = 0;
    }
    group.push(one);
    versions += weight;
  }
  if (group.length > 0) yield group;
}

/** Answers the same entry; throws where its value is not the one that was put. */
export function checkDigest(entry: SourceEntry): SourceEntry {
  if (digestOf(entry.value) === entry.digest) return entry;
  throw new StateError(
    "internal",
    `Version ${entry.version} of the key "${entry.key}" does not match its digest: the source is ` +
      "damaged. Nothing of this version was copied.",
  );
}

/** SHA-256 as entries have it. */
export function digestOf(value: Uint8Array): string {
  return createHash("sha256").update(value).digest("hex");
}
