/** What a caller sent, or what the server answered, on its way through a proxy. */
export interface Passing {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: Buffer;
}

export interface Answered {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

/** One thing wrong with a server, put between it and its callers. */
export interface ServerDefect {
  readonly what: string;
  /** The case that has to find it. */
  readonly caughtBy: string;
  /** Changes a request in place. */
  readonly request?: (passing: Passing) => void;
  /** Changes an answer in place, knowing what was asked. */
  readonly answer?: (answered: Answered, asked: Passing) => void;
}

const BODIES = "PUT stores the bytes of its body, whatever the Content-Type";
const KEYS = "takes keys percent-encoded, decodes them once, and tells them apart";
const MISSING = "GET answers 404 where the key or the version does not exist, or is no version";
const NOT_UTF8 = "GET answers what is not UTF-8 as base64, and ?raw the bytes themselves";
const DELETES = "DELETE answers 200 whatever was there, and leaves nothing";
const PUTS = "PUT answers the new version with its ETag and place, and GET returns it";
const PUTS_IF = "puts only where cas, If-Match and If-None-Match hold";
const LISTS = "lists keys by prefix and delimiter, in pages that follow next";

/** Takes a header away from what passes. */
const without =
  (...names: readonly string[]) =>
  ({ headers }: { readonly headers: Record<string, string> }): void => {
    for (const name of names) delete headers[name];
  };

export const serverDefects: readonly ServerDefect[] = [
  {
    what: "decodes the bodies of forms",
    caughtBy: BODIES,
    request(passing) {
      if (!passing.headers["content-type"]?.includes("form")) return;
      passing.body = Buffer.from(decodeURIComponent(passing.body.toString().replaceAll("+", " ")));
    },
  },
  {
    what: "parses JSON bodies and writes them anew",
    caughtBy: BODIES,
    request(passing) {
      if (passing.headers["content-type"] !== "application/json") return;
      passing.body = Buffer.from(passing.body.toString().trim());
    },
  },
  {
    what: "ends a body at a byte order mark",
    caughtBy: BODIES,
    request(passing) {
      if (passing.body.toString().startsWith("\ufeff")) passing.body = passing.body.subarray(3);
    },
  },
  {
    what: "passes bodies through a string",
    caughtBy: NOT_UTF8,
    request(passing) {
      passing.body = Buffer.from(passing.body.toString());
    },
  },
  {
    what: "lets a browser guess the type of a value",
    caughtBy: NOT_UTF8,
    answer: without("x-content-type-options"),
  },
  {
    what: "lets a stored page act as its own",
    caughtBy: NOT_UTF8,
    answer: without("content-security-policy"),
  },
  {
    what: "decodes keys twice",
    caughtBy: KEYS,
    request(passing) {
      passing.path = passing.path.replaceAll("%25", "%");
    },
  },
  {
    what: "takes a plus sign for a blank",
    caughtBy: KEYS,
    request(passing) {
      passing.path = passing.path.replaceAll("+", "%20");
    },
  },
  {
    what: "cleans up paths",
    caughtBy: KEYS,
    request(passing) {
      passing.path = passing.path.replaceAll(/%2f/gi, "/");
    },
  },
  {
    what: "reads a version as a number, whatever it looks like",
    caughtBy: MISSING,
    request(passing) {
      passing.path = passing.path.replace(/\/[+0]+(\d)$/, "/$1");
    },
  },
  {
    what: "answers a missing key as an empty value",
    caughtBy: MISSING,
    answer(answered) {
      if (answered.status === 404) answered.status = 200;
    },
  },
  {
    what: "answers its errors as pages",
    caughtBy: MISSING,
    answer(answered) {
      if (answered.status === 404) answered.headers["content-type"] = "text/html";
    },
  },
  {
    what: "answers 404 to the delete of a key that is not there",
    caughtBy: DELETES,
    answer(answered, { method }) {
      if (method === "DELETE" && answered.body.toString().includes(":0}")) answered.status = 404;
    },
  },
  {
    what: "deletes nothing",
    caughtBy: DELETES,
    request(passing) {
      if (passing.method !== "DELETE") return;
      passing.method = "GET";
      passing.path = "/-/livez";
    },
  },
  {
    what: "names entries by their version alone",
    caughtBy: DELETES,
    answer({ headers }) {
      if (headers["etag"] !== undefined) headers["etag"] = headers["etag"].replace(/"[^.]*/, '"x');
    },
  },
  { what: "does not say where a version is", caughtBy: PUTS, answer: without("location") },
  { what: "answers no ETag", caughtBy: PUTS, answer: without("etag") },
  {
    what: "sends the body again to whoever has it",
    caughtBy: "answers 304 where the caller has the entry already",
    request(passing) {
      if (passing.method === "GET") without("if-none-match")(passing);
    },
  },
  { what: "does not look at If-Match", caughtBy: PUTS_IF, request: without("if-match") },
  {
    what: "takes weak tags for strong ones",
    caughtBy: PUTS_IF,
    request({ headers }) {
      if (headers["if-match"] !== undefined) {
        headers["if-match"] = headers["if-match"].replaceAll("W/", "");
      }
    },
  },
  {
    what: "takes cas 0 for none",
    caughtBy: PUTS_IF,
    request(passing) {
      passing.path = passing.path.replace("?cas=0", "");
    },
  },
  {
    what: "passes over query parameters that it does not know",
    caughtBy: "answers 400 to a query parameter that it does not know, and writes nothing",
    request(passing) {
      passing.path = passing.path.replace(/\?(csa=1|RAW|x)$/, "");
    },
  },
  {
    what: "writes again under the same Idempotency-Key",
    caughtBy: "answers a repeated Idempotency-Key with the first outcome",
    request: without("idempotency-key"),
  },
  {
    what: "does not say which methods it takes",
    caughtBy: "answers 405 with Allow to a method that a route does not take",
    answer: without("allow"),
  },
  {
    what: "answers HEAD without the ETag",
    caughtBy: "HEAD answers what GET would, without a body",
    answer(answered, { method }) {
      if (method === "HEAD") without("etag")(answered);
    },
  },
  { what: "does not link to the next page", caughtBy: LISTS, answer: without("link") },
  {
    what: "does not fold keys",
    caughtBy: LISTS,
    request(passing) {
      passing.path = passing.path.replace("&delimiter=%2F", "");
    },
  },
  {
    what: "reads the latest as of any time",
    caughtBy: "reads as of a time, by parameter and by Accept-Datetime",
    request: without("accept-datetime"),
  },
];
