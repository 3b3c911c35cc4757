import type {
  DeleteAnswer,
  DeleteOptions,
  DiffAnswer,
  DiffOptions,
  HistoryAnswer,
  HistoryOptions,
  KeysAnswer,
  KeysOptions,
  Moment,
  PutAnswer,
  PutOptions,
  RestoreOptions,
  RestorePrefixAnswer,
  RestorePrefixOptions,
  StateApi,
  TransactAnswer,
  TransactRequest,
  WatchEvent,
  WatchOptions,
  WatchPrefixOptions,
  Which,
} from "../api.ts";
import { StateError, type ErrorCode } from "../errors.ts";
import type { Entry, EntryInfo } from "../store.ts";
import {
  conditionHeaders,
  idempotencyHeaders,
  keyPath,
  momentText,
  query,
  versionNumber,
  whichParameters,
  whichText,
} from "./request.ts";
import { follow } from "./follow.ts";
import { transactBody, transactAnswer } from "./transact.ts";
import { Transport, type HttpReply, type HttpRequest, type TransportOptions } from "./transport.ts";
import {
  infoOf,
  infoOfHeaders,
  itemOf,
  listOf,
  numberOf,
  objectOf,
  optionalText,
  parseEtag,
  parseJson,
  textOf,
  textsOf,
  timeOf,
  wordOf,
} from "./wire.ts";

/** Where a server is, and how patient calls are. */
export type ClientOptions = TransportOptions;

const MISSING: ReadonlySet<ErrorCode> = new Set(["key_not_found", "version_not_found"]);

/**
 * A server's state, with the same methods as the engine's own. Every write carries an id, so that it
 * is repeated after a lost answer without being applied twice; only a delete, whose repetition could
 * remove what someone else put since, is repeated only where nothing can have been written.
 */
export class StateClient implements StateApi {
  readonly #transport: Transport;

  constructor(options: ClientOptions | string) {
    this.#transport = new Transport(typeof options === "string" ? { url: options } : options);
  }

  async put(key: string, value: string | Uint8Array, options: PutOptions = {}): Promise<PutAnswer> {
    const { cas, author, message, contentType, idempotencyKey } = options;
    const reply = await this.#transport.send({
      method: "PUT",
      path: keyPath(key) + query({ cas, author, message }),
      headers: {
        ...conditionHeaders(options),
        ...idempotencyHeaders(idempotencyKey),
        ...(contentType === undefined ? {} : { "Content-Type": contentType }),
      },
      body: toBytes(value),
      repeat: "always",
    });
    return putAnswer(reply);
  }

  async get(key: string, options: { readonly at?: Moment } = {}): Promise<Entry | undefined> {
    const at = options.at === undefined ? undefined : momentText("at", options.at);
    return this.#readEntry(keyPath(key) + query({ raw: true, at }));
  }

  async getVersion(key: string, version: number): Promise<Entry | undefined> {
    const number = versionNumber("version", version);
    return this.#readEntry(`${keyPath(key)}/${number}${query({ raw: true })}`);
  }

  async head(key: string, which?: Which): Promise<EntryInfo | undefined> {
    const path =
      which !== undefined && "version" in which
        ? `${keyPath(key)}/${versionNumber("version", which.version)}`
        : keyPath(key) + query(which === undefined ? {} : whichParameters(which));
    try {
      const { headers } = await this.#transport.send({ method: "HEAD", path, repeat: "always" });
      return infoOfHeaders(headers);
    } catch (error) {
      if (!(error instanceof StateError) || error.code !== "route_not_found") throw error;
      // The answer to a HEAD has no body to say which 404 it is; a GET of what is missing has one.
      const found = await this.#readEntry(path + (path.includes("?") ? "&raw" : "?raw"));
      if (found === undefined) return undefined;
      const { value, ...info } = found;
      return info;
    }
  }

  async delete(key: string, options: DeleteOptions = {}): Promise<DeleteAnswer> {
    const { bytes } = await this.#transport.send({
      method: "DELETE",
      path: keyPath(key) + query({ cas: options.cas }),
      headers: conditionHeaders(options),
      repeat: "unapplied",
    });
    return { versions: numberOf(parseJson(bytes), "versions") };
  }

  async history(key: string, options: HistoryOptions = {}): Promise<HistoryAnswer | undefined> {
    const { limit, before, values } = options;
    const reply = await this.#find(`${keyPath(key)}/versions${query({ limit, before, values })}`);
    if (reply === undefined) return undefined;
    const json = parseJson(reply.bytes);
    const next = json["next"] === undefined ? undefined : numberOf(json, "next");
    return { key, versions: listOf(json, "versions").map(itemOf), next };
  }

  async keys(options: KeysOptions = {}): Promise<KeysAnswer> {
    const at = options.at === undefined ? undefined : momentText("at", options.at);
    const { bytes } = await this.#read(`-/keys${query({ ...options, at })}`);
    const json = parseJson(bytes);
    return {
      keys: listOf(json, "keys").map((item) => ({ key: textOf(item, "key"), ...itemOf(item) })),
      prefixes: textsOf(json, "prefixes"),
      next: optionalText(json, "next"),
    };
  }

  async diff(key: string, { from, to, format }: DiffOptions): Promise<DiffAnswer | undefined> {
    const reply = await this.#find(
      `${keyPath(key)}/diff${query({
        from: whichText("from", from),
        to: to === undefined ? undefined : whichText("to", to),
        format,
      })}`,
      { Accept: "application/json" },
    );
    if (reply === undefined) return undefined;
    const json = parseJson(reply.bytes);
    return {
      from: infoOf(objectOf(json, "from")),
      to: infoOf(objectOf(json, "to")),
      kind: wordOf(json, "kind", ["text", "json-patch", "binary"]),
      body: textOf(json, "diff"),
    };
  }

  async restore(key: string, options: RestoreOptions): Promise<PutAnswer | undefined> {
    const { from, cas, author, message, idempotencyKey } = options;
    const reply = await this.#find(
      `${keyPath(key)}/restore${query({ ...whichParameters(from), cas, author, message })}`,
      { ...conditionHeaders(options), ...idempotencyHeaders(idempotencyKey) },
      "POST",
    );
    return reply && putAnswer(reply);
  }

  async restorePrefix(options: RestorePrefixOptions): Promise<RestorePrefixAnswer> {
    const { bytes } = await this.#transport.send({
      method: "POST",
      path: `-/restore${query({ ...options, at: momentText("at", options.at) })}`,
      // Once more, it would undo what others have written since.
      repeat: "unapplied",
    });
    const json = parseJson(bytes);
    return {
      restored: listOf(json, "restored").map((item) => ({
        key: textOf(item, "key"),
        action: wordOf(item, "action", ["put", "delete"]),
        from: item["from"] === undefined ? undefined : numberOf(item, "from"),
        version: item["version"] === undefined ? undefined : numberOf(item, "version"),
      })),
      unchanged: numberOf(json, "unchanged"),
      conflicts: textsOf(json, "conflicts"),
      trimmed: textsOf(json, "trimmed"),
      next: optionalText(json, "next"),
    };
  }

  async transact(request: TransactRequest): Promise<TransactAnswer> {
    const reply = await this.#transport.send({
      method: "POST",
      path: "-/transactions",
      headers: {
        "Content-Type": "application/json",
        ...idempotencyHeaders(request.idempotencyKey),
      },
      body: transactBody(request),
      repeat: "always",
    });
    return transactAnswer(reply);
  }

  watch(key: string, options: WatchOptions = {}): AsyncIterable<WatchEvent> {
    const { after, values } = options;
    return follow(this.#transport, `${keyPath(key)}/watch${query({ after, values })}`, options);
  }

  watchPrefix(options: WatchPrefixOptions): AsyncIterable<WatchEvent> {
    const { prefix, values } = options;
    return follow(this.#transport, `-/watch${query({ prefix, values })}`, options);
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }

  async #readEntry(path: string): Promise<Entry | undefined> {
    const reply = await this.#find(path);
    return reply && { ...infoOfHeaders(reply.headers), value: reply.bytes };
  }

  async #read(path: string): Promise<HttpReply> {
    return this.#transport.send({ method: "GET", path, repeat: "always" });
  }

  /** As `send`, with undefined where the key or the version does not exist. */
  async #find(
    path: string,
    headers: Readonly<Record<string, string>> = {},
    method: HttpRequest["method"] = "GET",
  ): Promise<HttpReply | undefined> {
    try {
      return await this.#transport.send({ method, path, headers, repeat: "always" });
    } catch (error) {
      if (error instanceof StateError && MISSING.has(error.code)) return undefined;
      throw error;
    }
  }
}

function putAnswer({ headers, bytes }: HttpReply): PutAnswer {
  const json = parseJson(bytes);
  return {
    ...parseEtag(headers.get("etag") ?? ""),
    key: textOf(json, "key"),
    createdAt: timeOf(json, "createdAt"),
    digest: textOf(json, "digest"),
    replayed: headers.get("idempotency-replayed") === "true",
  };
}

function toBytes(value: string | Uint8Array): Uint8Array<ArrayBuffer> {
  // Bytes even of a text: fetch would add a content type that nobody asked for.
  if (typeof value === "string") return new TextEncoder().encode(value);
  return value.buffer instanceof ArrayBuffer
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : new Uint8Array(value);
}
