import { createClient, ErrorReply, RESP_TYPES } from "redis";
import { StateError } from "../../errors.ts";
import type { StoreOptions } from "../../store.ts";
import { classify, isDenied, toStateError, type Failure } from "./classify.ts";
import type { Address, RedisOptions } from "./options.ts";

/** What Redis answers, with every string of bytes as a Buffer. */
export type Reply = Buffer | string | number | null | readonly Reply[];

/** The elements of a reply that is a list; none where it is not. */
export function toList(reply: Reply | undefined): readonly Reply[] {
  return Array.isArray(reply) ? (reply as readonly Reply[]) : [];
}

/** What a connection is made with. */
export interface ConnectionOptions {
  readonly redis: RedisOptions;
  readonly store: StoreOptions;
  /** Waited for in every new session before it is used: whoever names the primary may name another. */
  readonly onSession?: () => Promise<void>;
}

/** How often a connection is looked after, in milliseconds. */
const WATCH_INTERVAL_MS = 250;
const RECONNECT_DELAY_MS_MIN = 25;
const RECONNECT_DELAY_MS_MAX = 400;

type Client = ReturnType<typeof newClient>;

/**
 * One connection that always comes back. The driver's own time limits do not cover a command once it
 * has been written, and its socket timeout starts over with every write; so this watches that
 * answers come while any are owed, and else replaces the client, which rejects what was under way.
 */
export class Connection {
  readonly address: Address;
  readonly #options: ConnectionOptions;
  #client: Client;
  /** Whether the client is known to lead to a primary. */
  #isAccepted = false;
  #isClosed = false;
  #lastError: unknown;
  #owed = 0;
  /** When an answer last came, or the first of those owed was asked for. */
  #heardAt: number;
  #attemptAt: number;
  #checkedAt: number;
  #session: object = {};
  #confirming: Promise<number> | undefined;
  #waiters: (() => void)[] = [];
  readonly #watch: NodeJS.Timeout;

  constructor(address: Address, options: ConnectionOptions) {
    this.address = address;
    this.#options = options;
    const now = options.store.clock.monotonic();
    this.#heardAt = now;
    this.#attemptAt = now;
    this.#checkedAt = now;
    this.#client = this.#connect();
    this.#watch = setInterval(() => this.#check(), WATCH_INTERVAL_MS).unref();
  }

  get isReady(): boolean {
    return this.#client.isReady && this.#isAccepted;
  }

  /** One object from a connection to its loss: another one means that Redis may have restarted. */
  get session(): object {
    return this.#session;
  }

  /** Why it is not ready. */
  get refusal(): Failure {
    const failure = this.#lastError === undefined ? undefined : classify(this.#lastError);
    return failure?.kind === "refused" ? failure : { kind: "unsent", cause: this.#lastError };
  }

  #now(): number {
    return this.#options.store.clock.monotonic();
  }

  /** Sends one command. Commands that are sent in one turn of the event loop travel together. */
  async send(args: readonly (string | Buffer)[]): Promise<Reply> {
    if (this.#owed === 0) this.#heardAt = this.#now();
    this.#owed += 1;
    const client = this.#client;
    try {
      return await client.sendCommand<Reply>(args);
    } catch (error) {
      if (this.#isReplica(error) && client === this.#client) this.#leaveReplica(error);
      throw error;
    } finally {
      this.#owed -= 1;
      this.#heardAt = this.#now();
    }
  }

  /**
   * Rejects where Redis does not answer, or is a replica, by which it ends the session. HELLO tells
   * the role, and every user may send it who may send anything at all.
   */
  async ping(): Promise<void> {
    const { redis } = this.#options;
    // A replica of a cluster answers with where its primary is.
    if (redis.topology === "cluster") {
      await this.send(["PING"]);
      return;
    }
    const reply = await this.send(["HELLO"]).catch((error: unknown) => {
      // Of a Redis before 6, or a user who may not: an answer all the same.
      if (error instanceof ErrorReply && !this.#isReplica(error)) return undefined;
      throw error;
    });
    const facts = toList(reply).map(String);
    const role = facts[facts.indexOf("role") + 1];
    if (role !== "replica" && role !== "slave") return;
    const refusal = new ErrorReply("READONLY This Redis is a replica.");
    this.#leaveReplica(refusal);
    throw refusal;
  }

  #isReplica(error: unknown): boolean {
    if (this.#options.redis.topology === "cluster") return false;
    const failure = classify(error);
    return failure.kind === "refused" && failure.code === "READONLY";
  }

  /**
   * Answers how many replicas have all that was sent before on this connection; waits until
   * `replicas` do, but no longer than `timeoutMs`. Calls made in one turn of the event loop share one
   * WAIT, which goes out behind all that was sent in it.
   */
  confirm(replicas: number, timeoutMs: number): Promise<number> {
    this.#confirming ??= Promise.resolve().then(async () => {
      this.#confirming = undefined;
      return Number(await this.send(["WAIT", String(replicas), String(timeoutMs)]));
    });
    return this.#confirming;
  }

  /** Answers when commands can be sent. Rejects at `deadline`, or at once where it is refused. */
  async ready(deadline: number): Promise<void> {
    while (!this.isReady) {
      if (isDenied(this.refusal)) throw toStateError(this.refusal, false);
      const leftMs = deadline - this.#now();
      if (leftMs <= 0 || this.#isClosed) {
        const reason = this.#isReplica(this.#lastError)
          ? "This Redis is a replica, and may lack what was acknowledged. Name its primary."
          : "Redis can't be reached. Nothing was written.";
        throw new StateError("store_unavailable", reason, { cause: this.#lastError });
      }
      await this.#nextChange(leftMs);
    }
  }

  async #nextChange(timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    this.#waiters.push(resolve);
    await promise;
    clearTimeout(timer);
  }

  #announceChange(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#watch);
    this.#client.destroy();
    this.#announceChange();
  }

  #connect(): Client {
    this.#isAccepted = false;
    const client = newClient(this.address, this.#options.redis);
    client.on("connect", () => {
      // The driver does not notice that it was told to end while it was connecting.
      if (client !== this.#client || this.#isClosed) client.destroy();
    });
    client.on("ready", () => void this.#begin(client));
    client.on("reconnecting", () => {
      if (client !== this.#client) return;
      this.#isAccepted = false;
      this.#attemptAt = this.#now();
    });
    client.on("error", (error: unknown) => {
      if (client === this.#client) this.#noteLoss(error);
    });
    // Its failures arrive as "error" events, and it goes on trying.
    client.connect().catch(() => {});
    return client;
  }

  /** Takes a session into use, once it is sure that it is with the primary. */
  async #begin(client: Client): Promise<void> {
    if (client !== this.#client) return;
    const session = {};
    this.#session = session;
    try {
      await this.ping();
      await this.#options.onSession?.();
    } catch (error) {
      // Where the connection is lost already, the driver goes on trying.
      if (this.#session === session) this.#noteLoss(error);
      return;
    }
    // It may have been lost meanwhile, and another one be under way.
    if (this.#session !== session || client !== this.#client) return;
    if (this.#isClosed || !client.isReady) return;
    const { log } = this.#options.store;
    if (this.#lastError !== undefined) log.info({ redis: this.address }, "Redis is back");
    this.#lastError = undefined;
    this.#isAccepted = true;
    this.#announceChange();
  }

  /** Ends a session with what is no primary any more; another server may have its name by now. */
  #leaveReplica(error: unknown): void {
    const old = this.#client;
    this.#isAccepted = false;
    this.#attemptAt = this.#now();
    this.#noteLoss(error);
    old.destroy();
    setTimeout(() => {
      if (old === this.#client && !this.#isClosed) this.#client = this.#connect();
    }, RECONNECT_DELAY_MS_MAX).unref();
  }

  #noteLoss(error: unknown): void {
    if (this.#lastError === undefined && !this.#isClosed) {
      const { log } = this.#options.store;
      log.warn({ redis: this.address, err: error }, "Redis is away; reconnecting");
    }
    this.#lastError = error;
    this.#announceChange();
  }

  #check(): void {
    const { socketTimeout, connectTimeout, pingInterval } = this.#options.redis;
    const now = this.#now();
    const lateMs = now - this.#checkedAt - WATCH_INTERVAL_MS;
    this.#checkedAt = now;
    if (lateMs > WATCH_INTERVAL_MS) {
      // This process was held up itself, so answers may lie here unread.
      this.#heardAt += lateMs;
      this.#attemptAt += lateMs;
    }
    if (!this.isReady) {
      // The driver does not limit the time between a connection and the answers to its first commands.
      if (now - this.#attemptAt > connectTimeout + socketTimeout) this.#replace();
      return;
    }
    const silentMs = now - this.#heardAt;
    if (this.#owed > 0 && silentMs > socketTimeout) this.#replace();
    else if (this.#owed === 0 && silentMs > pingInterval) this.ping().catch(() => {});
  }

  #replace(): void {
    const old = this.#client;
    this.#attemptAt = this.#now();
    this.#noteLoss(new Error("Redis kept silent for too long"));
    this.#client = this.#connect();
    old.destroy();
  }
}

/**
 * All clients are copies of this one, which never connects. The driver gives every new client whose
 * options are not those of the last a class of its own with some 500 methods, which takes 50 ms and
 * 20 MiB; a copy shares its class.
 */
const TEMPLATE = createClient({ RESP: 2 });

function newClient(address: Address, redis: RedisOptions) {
  const client = TEMPLATE.duplicate({
    ...redis.client,
    ...(redis.username === undefined ? {} : { username: redis.username }),
    ...(redis.password === undefined ? {} : { password: redis.password }),
    database: redis.database,
    // Replies as they are in all versions of Redis; RESP 3 has more types, of which none is needed.
    RESP: 2,
    maintNotifications: "disabled",
    disableOfflineQueue: true,
    commandsQueueMaxLength: redis.commandsQueueMaxLength,
    commandOptions: { timeout: 0, typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
    socket: {
      ...redis.socket,
      host: address.host,
      port: address.port,
      connectTimeout: redis.connectTimeout,
      reconnectStrategy: (retries: number) =>
        Math.min(RECONNECT_DELAY_MS_MIN * 2 ** Math.min(retries, 10), RECONNECT_DELAY_MS_MAX),
    },
  });
  client.on("error", () => {});
  return client;
}
