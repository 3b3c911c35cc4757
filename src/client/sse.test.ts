import assert from "node:assert/strict";
import { test } from "node:test";
import { SseParser } from "./sse.ts";

const STREAM =
  'retry: 2000\n\n: comment\n\nid: 7\nevent: put\ndata: {"a":1}\n\n' +
  "event: delete\ndata: one\ndata:two\n\ndata\n\nevent: put\n\nid: 8\ndata: last\n\nid: 9\ndata: cut";

const EVENTS = [
  { type: "put", data: '{"a":1}', id: "7" },
  { type: "delete", data: "one\ntwo", id: "7" },
  { type: "message", data: "", id: "7" },
  { type: "message", data: "last", id: "8" },
];

test("events are the same however the stream is cut and its lines end", () => {
  for (const lineEnd of ["\n", "\r\n", "\r"]) {
    const text = `\uFEFF${STREAM.replaceAll("\n", lineEnd)}`;
    for (const size of [1, 2, 3, 7, text.length]) {
      const parser = new SseParser();
      const events = [];
      for (let start = 0; start < text.length; start += size) {
        events.push(...parser.push(text.slice(start, start + size)));
      }
      assert.deepEqual(
        events,
        EVENTS,
        `pieces of ${size}, lines end in ${JSON.stringify(lineEnd)}`,
      );
    }
  }
});
