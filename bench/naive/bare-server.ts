import { createServer, type ServerResponse } from "node:http";

/** What the parent process tells it to answer from now on, by method. */
export interface CannedAnswers {
  readonly get: CannedAnswer;
  readonly put: CannedAnswer;
}

export interface CannedAnswer {
  readonly status: number;
  /** Names and values by turns. */
  readonly headers: string[];
  readonly body: string;
}

/**
 * The limit: node:http and nothing else. It reads a body to its end and answers bytes that our server
 * gave to such a request, which the parent process sends it.
 */
let answers: CannedAnswers | undefined;

process.on("message", (message: CannedAnswers) => {
  answers = message;
  process.send?.("ready");
});
process.on("disconnect", () => process.exit(0));

const server = createServer((request, response) => {
  if (request.method === "GET") {
    answer(response, answers?.get);
    return;
  }
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    Buffer.concat(chunks);
    answer(response, answers?.put);
  });
});

function answer(response: ServerResponse, canned: CannedAnswer | undefined): void {
  if (canned === undefined) {
    response.writeHead(500).end();
    return;
  }
  response.writeHead(canned.status, canned.headers);
  response.end(canned.body);
}

// Node names this time in every answer, so it is the same as our server's.
server.keepAliveTimeout = 65_000;
server.listen(Number(process.argv[2]), "127.0.0.1");
