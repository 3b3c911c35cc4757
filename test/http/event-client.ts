/** One event of a stream, as the EventSource standard reads it. */
export interface StreamEvent {
  readonly id: string;
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Reads a stream of server-sent events over fetch. */
export class EventClient {
  readonly response: Response;
  retryMs: number | undefined;
  readonly #abort: AbortController;
  readonly #reader: ReadableStreamDefaultReader<string>;
  #text = "";
  #isEnded = false;

  private constructor(response: Response, abort: AbortController) {
    this.response = response;
    this.#abort = abort;
    const body = response.body ?? new ReadableStream<Uint8Array<ArrayBuffer>>();
    this.#reader = body.pipeThrough(new TextDecoderStream()).getReader();
  }

  static async open(url: string, lastEventId?: string): Promise<EventClient> {
    const abort = new AbortController();
    const headers: Record<string, string> =
      lastEventId === undefined ? {} : { "Last-Event-ID": lastEventId };
    const response = await fetch(url, { headers, signal: abort.signal });
    if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
    return new EventClient(response, abort);
  }

  /** The next event; fails where none comes in time. */
  async next(timeoutMs = 60_000): Promise<StreamEvent> {
    const timer = setTimeout(() => this.#abort.abort(new Error("no event in time")), timeoutMs);
    try {
      for (;;) {
        const event = this.#take();
        if (event !== undefined) return event;
        if (this.#isEnded) throw new Error("the stream ended");
        await this.#more();
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** The next event of a kind; others are passed over. */
  async until(kind: string): Promise<StreamEvent> {
    for (;;) {
      const event = await this.next();
      if (event.event === kind) return event;
    }
  }

  /** Reads on to the end of the stream. */
  async ended(): Promise<void> {
    while (!this.#isEnded) await this.#more();
    while (this.#take() !== undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    return Promise.resolve();
  }

  async #more(): Promise<void> {
    const { done, value } = await this.#reader.read();
    if (done) this.#isEnded = true;
    else this.#text += value;
  }

  /** Passes over comments and blocks without data. */
  #take(): StreamEvent | undefined {
    for (;;) {
      const end = this.#text.indexOf("\n\n");
      if (end === -1) return undefined;
      const fields = new Map<string, string>();
      for (const line of this.#text.slice(0, end).split("\n")) {
        const colon = line.indexOf(":");
        fields.set(line.slice(0, colon), line.slice(colon + 1).trimStart());
      }
      this.#text = this.#text.slice(end + 2);
      const retry = fields.get("retry");
      if (retry !== undefined) this.retryMs = Number(retry);
      const data = fields.get("data");
      if (data === undefined) continue;
      const event = fields.get("event") ?? "message";
      const parsed = JSON.parse(data) as Record<string, unknown>;
      return { id: fields.get("id") ?? "", event, data: parsed };
    }
  }
}
