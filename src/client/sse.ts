/** One event of a server-sent event stream, as it stood there. */
export interface SseEvent {
  /** `message` where the stream did not say. */
  readonly type: string;
  readonly data: string;
  /** The last id seen so far, on this event or an earlier one. */
  readonly id: string;
}

/**
 * Splits the text of an event stream, as it arrives in pieces, into its events. What the last piece
 * leaves unfinished is never an event: a connection may have been cut in the middle of one.
 */
export class SseParser {
  /** The line that is not finished, in the pieces that it came in. */
  #rest: string[] = [];
  #type = "";
  #data: string[] = [];
  #id = "";
  #isStart = true;

  /** Takes the next piece and answers the events that it completes. */
  push(piece: string): SseEvent[] {
    const text = this.#isStart ? piece.replace(/^\uFEFF/, "") : piece;
    if (piece !== "") this.#isStart = false;
    const waits = this.#rest.at(-1)?.endsWith("\r") ?? false;
    if (!waits && !/[\r\n]/.test(text)) {
      // A line may be megabytes long: what came of it before is not looked at again.
      if (text !== "") this.#rest.push(text);
      return [];
    }
    const lines = (this.#rest.join("") + text).split(/\r\n|\n|\r(?!$)/);
    // A line end that is last may be the first half of "\r\n", so it waits for the next piece.
    this.#rest = [lines.pop() ?? ""];
    return lines.flatMap((line) => this.#onLine(line) ?? []);
  }

  #onLine(line: string): SseEvent | undefined {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    switch (name) {
      case "event":
        this.#type = value;
        break;
      case "data":
        this.#data.push(value);
        break;
      case "id":
        if (!value.includes("\0")) this.#id = value;
        break;
      default:
      // A comment, whose name is empty, the wait that browsers are told, or something newer.
    }
    return undefined;
  }

  #dispatch(): SseEvent | undefined {
    const event = { type: this.#type || "message", data: this.#data.join("\n"), id: this.#id };
    const isEmpty = this.#data.length === 0;
    this.#type = "";
    this.#data = [];
    return isEmpty ? undefined : event;
  }
}
