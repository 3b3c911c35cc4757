import type { StateApi, WatchEvent } from "../../../src/api.ts";
import { WrappedState } from "./wrapped-state.ts";

/** One thing wrong with an engine, or a client, that is sound otherwise. */
export interface StateDefect {
  readonly what: string;
  /** The case that has to find it. */
  readonly caughtBy: string;
  spoil(inner: StateApi): StateApi;
}

type Methods = Partial<{
  [Name in keyof StateApi]: (
    inner: StateApi,
    ...parameters: Parameters<StateApi[Name]>
  ) => ReturnType<StateApi[Name]>;
}>;

/** A state of which some methods do something else. */
function does(what: string, caughtBy: string, methods: Methods): StateDefect {
  return {
    what,
    caughtBy,
    spoil(inner) {
      const wrapped = new WrappedState(inner);
      const spoiled = Object.entries(methods).map(([name, method]) => [
        name,
        (method as (...all: unknown[]) => unknown).bind(undefined, inner),
      ]);
      return Object.assign(wrapped, Object.fromEntries(spoiled) as Partial<StateApi>);
    },
  };
}

async function* changing(
  events: AsyncIterable<WatchEvent>,
  change: (event: WatchEvent) => readonly WatchEvent[],
): AsyncGenerator<WatchEvent> {
  for await (const event of events) yield* change(event);
}

const utf8 = new TextDecoder();
const PUTS_IF = "puts only where its conditions hold, and says what was there instead";
const HISTORY = "pages through a history, newest first, with and without values";
const FOLDS = "folds keys at a delimiter, whatever the limit";
const PREFIX = "brings a prefix back to a moment, and first says what it would do";
const RESTORES = "restores an old version as a new one, and says so";
const KEY_WATCH = "tells a key's watcher of each new version once, from the next one on";

const writes: readonly StateDefect[] = [
  does("puts without a look at its conditions", PUTS_IF, {
    put: (inner, key, value) => inner.put(key, value),
  }),
  does("takes cas 0 for no condition", PUTS_IF, {
    put(inner, key, value, { cas, ...options } = {}) {
      return inner.put(key, value, cas ? { ...options, cas } : options);
    },
  }),
  does("deletes without a look at its conditions", "deletes only where its conditions hold", {
    delete: (inner, key) => inner.delete(key),
  }),
  does(
    "writes again under the same idempotency key",
    "answers the first outcome to the same idempotency key, here and elsewhere",
    {
      put: (inner, key, value, { idempotencyKey: _, ...options } = {}) =>
        inner.put(key, value, options),
    },
  ),
  does(
    "does not tell requests apart by their message",
    "refuses an idempotency key that was used for something else",
    {
      put: (inner, key, value, { message: _, ...options } = {}) => inner.put(key, value, options),
    },
  ),
  does("passes values through a string", "returns values byte for byte", {
    put: (inner, key, value, options) =>
      inner.put(key, typeof value === "string" ? value : utf8.decode(value), options),
  }),
  does("cuts blanks off keys", "takes odd keys through every call", {
    put: (inner, key, value, options) => inner.put(key.trim(), value, options),
  }),
  does("lets a key be a dash", "refuses what is no key, in every call", {
    get: (inner, key) => inner.get(key === "-" ? "--" : key),
  }),
  does("loses the author", "keeps content type, author and message with each version", {
    put: (inner, key, value, { author: _, ...options } = {}) => inner.put(key, value, options),
  }),
  does("goes on after it was closed", "refuses calls after close", {
    close: async () => {},
  }),
  does(
    "writes a transaction key by key",
    "writes nothing where one condition is unmet, and names each unmet one",
    {
      async transact(inner, request) {
        for (const one of request.put ?? []) await inner.put(one.key, one.value);
        return inner.transact(request);
      },
    },
  ),
  does(
    "takes the same key twice in a transaction",
    "refuses a transaction that says too much, the same twice, or nothing",
    {
      transact: (inner, request) =>
        inner.transact({ ...request, delete: [...new Set(request.delete ?? [])] }),
    },
  ),
];

const reads: readonly StateDefect[] = [
  does(
    "answers nothing where a version is not legal",
    "refuses parameters that are out of bounds",
    {
      getVersion: async (inner, key, version) =>
        version >= 1 ? inner.getVersion(key, version) : undefined,
    },
  ),
  does("reads the latest as of any time", "reads as of a time, given as a number or as a Date", {
    get: (inner, key) => inner.get(key),
  }),
  does("says that there is no next page of a history", HISTORY, {
    async history(inner, key, options) {
      const page = await inner.history(key, options);
      return page && { ...page, next: undefined };
    },
  }),
  does("lists a history oldest first", HISTORY, {
    async history(inner, key, options) {
      const page = await inner.history(key, options);
      return page && { ...page, versions: page.versions.toReversed() };
    },
  }),
  does("names a fold once on every page", FOLDS, {
    async keys(inner, options = {}) {
      const { delimiter, ...rest } = options;
      const page = await inner.keys(rest);
      if (delimiter === undefined) return page;
      const folders = new Map<string, string>();
      const kept = page.keys.filter(({ key }) => {
        const end = key.indexOf(delimiter, options.prefix?.length);
        if (end !== -1) folders.set(key.slice(0, end + 1), key);
        return end === -1;
      });
      return { ...page, keys: kept, prefixes: [...folders.keys()] };
    },
  }),
  does("folds at every delimiter, also within the prefix", FOLDS, {
    keys: (inner, { prefix, ...options } = {}) =>
      inner.keys({
        ...options,
        prefix: options.delimiter ? (prefix ?? "").slice(0, -1) : (prefix ?? ""),
      }),
  }),
  does(
    "lists every key that holds the prefix somewhere",
    "pages through the keys of a prefix in order, past every limit",
    {
      keys: (inner, { prefix = "", ...options } = {}) =>
        inner.keys({ ...options, prefix: prefix.slice(0, 16) }),
    },
  ),
  does("lists keys as they are now", "lists keys as they were at a moment", {
    keys: (inner, { at: _, ...options } = {}) => inner.keys(options),
  }),
  does(
    "lists no values",
    "lists keys with their latest version's metadata, and values on request",
    { keys: (inner, { values: _, ...options } = {}) => inner.keys(options) },
  ),
  does("compares in the other direction", "compares two versions as text", {
    diff: (inner, key, { from, to = from, ...options }) =>
      inner.diff(key, { ...options, from: to, to: from }),
  }),
  does("compares JSON as text", "compares JSON values as a patch, and refuses other ones", {
    diff: (inner, key, { format: _, ...options }) => inner.diff(key, options),
  }),
];

const tools: readonly StateDefect[] = [
  does("restores a value without its content type", RESTORES, {
    async restore(inner, key, { from, ...options }) {
      const entry = "version" in from ? await inner.getVersion(key, from.version) : undefined;
      if (entry === undefined) return undefined;
      const message = options.message ?? `Restored from version ${entry.version}`;
      return inner.put(key, entry.value, { ...options, message });
    },
  }),
  does("does not say what it has restored", RESTORES, {
    restore: (inner, key, options) =>
      inner.restore(key, { ...options, message: options.message ?? "Restored" }),
  }),
  does("restores in a dry run", PREFIX, {
    restorePrefix: (inner, { dryRun: _, ...options }) => inner.restorePrefix(options),
  }),
  does("leaves keys that are newer than the moment", PREFIX, {
    async restorePrefix(inner, options) {
      const plan = await inner.restorePrefix({ ...options, dryRun: true });
      return { ...plan, restored: plan.restored.filter(({ action }) => action === "put") };
    },
  }),
  does("restores the first page alone", "brings a long prefix back in pages, each key once", {
    restorePrefix: async (inner, options) => ({
      ...(await inner.restorePrefix(options)),
      next: undefined,
    }),
  }),
];

const watches: readonly StateDefect[] = [
  does("tells a watcher the latest version again", KEY_WATCH, {
    watch: (inner, key, options) => inner.watch(key, { after: 0, ...options }),
  }),
  does("tells each version twice", KEY_WATCH, {
    watch: (inner, key, options) =>
      changing(inner.watch(key, options), (event) =>
        event.type === "put" ? [event, event] : [event],
      ),
  }),
  does(
    "forgets what a watcher has when it resumes",
    "resumes a key's watch at any event's id, also elsewhere, with exactly the rest",
    {
      watch: (inner, key, { lastEventId: _, ...options } = {}) =>
        inner.watch(key, { after: 0, ...options }),
    },
  ),
  does(
    "takes a deleted key for one that changed",
    "tells a key's watcher of its creation, its delete and its next life",
    {
      watch: (inner, key, options) =>
        changing(inner.watch(key, options), (event) =>
          event.type === "delete"
            ? [{ ...event, type: "put", createdAt: 0, entry: undefined }]
            : [event],
        ),
    },
  ),
  does(
    "starts at a hundred versions back at most",
    "tells a key's watcher the versions after the one it has, whatever their age",
    {
      watch: (inner, key, { after = 0, ...options } = {}) =>
        inner.watch(key, { ...options, after: Math.max(after, 30) }),
    },
  ),
  does(
    "tells a prefix's watcher of keys beside it",
    "tells a prefix's watcher of its keys alone, from now on",
    {
      watchPrefix: (inner, { prefix, ...options }) =>
        inner.watchPrefix({ ...options, prefix: prefix.slice(0, -1) }),
    },
  ),
  does(
    "repeats the last event when a prefix's watch is resumed",
    "resumes a prefix's watch at every event's id, also elsewhere, with exactly the rest",
    {
      async *watchPrefix(inner, options) {
        let isFirst = options.lastEventId !== undefined;
        for await (const event of inner.watchPrefix(options)) {
          yield event;
          if (isFirst) yield event;
          isFirst = false;
        }
      },
    },
  ),
];

export const stateDefects: readonly StateDefect[] = [...writes, ...reads, ...tools, ...watches];
