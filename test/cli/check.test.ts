import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { tmpdir } from "node:os";
import { freePort, waitUntil } from "../servers/process.ts";
import { vss, VssProcess, type Result } from "./vss.ts";

/** The four routes alone, written by hand: what a server of someone else's may be like. */
class PlainServer {
  readonly keys = new Map<string, string[]>();

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [key = "", version] = (request.url ?? "").slice(1).split("/").map(decodeURIComponent);
    if (request.method === "PUT") return this.put(response, key, await text(request));
    if (request.method === "DELETE") return this.delete(response, key);
    const values = this.keys.get(key) ?? [];
    const number = version === undefined ? values.length : canonical(version);
    const value = values[number - 1];
    if (value === undefined) this.missing(response);
    else reply(response, 200, { value, version: number });
  }

  put(response: ServerResponse, key: string, value: string): void {
    const values = this.keys.get(key) ?? [];
    values.push(value);
    this.keys.set(key, values);
    reply(response, 200, { version: values.length });
  }

  delete(response: ServerResponse, key: string): void {
    this.keys.delete(key);
    reply(response, 200, {});
  }

  missing(response: ServerResponse): void {
    reply(response, 404, { error: "missing" });
  }
}

function canonical(version: string): number {
  return /^[1-9]\d*$/.test(version) ? Number(version) : 0;
}

function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

/** So long that no connection goes away as a request comes on it, however slow the machine is. */
const KEEP_ALIVE_MS = 300_000;

async function checkOf(server: PlainServer, args: readonly string[] = []): Promise<Result> {
  const http = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
    server.answer(request, response).catch(() => response.destroy());
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  const { port } = http.address() as AddressInfo;
  try {
    return await vss(["check", `http://127.0.0.1:${port}`, ...args], { cwd: tmpdir() });
  } finally {
    http.closeAllConnections();
    http.close();
  }
}

test("a server with the four routes and nothing else passes in silence, and is left empty", async () => {
  const server = new PlainServer();
  assert.deepEqual(await checkOf(server), { code: 0, stdout: "", stderr: "" });
  assert.equal(server.keys.size, 0);
});

const DEFECTS: readonly {
  readonly name: string;
  readonly failing: RegExp;
  readonly server: PlainServer;
}[] = [
  {
    name: "counts from 0",
    failing:
      /FAILED: the first PUT is version 1[\s\S]*expected: .*"version": 1[\s\S]*came: .*\{"version":0\}/,
    server: new (class extends PlainServer {
      override put(response: ServerResponse, key: string, value: string): void {
        const values = this.keys.get(key) ?? [];
        this.keys.set(key, [...values, value]);
        reply(response, 200, { version: values.length });
      }
    })(),
  },
  {
    name: "goes on counting after a delete",
    failing: /FAILED: DELETE removes a key with all its versions, and the next PUT is version 1/,
    server: new (class extends PlainServer {
      override delete(response: ServerResponse, key: string): void {
        this.keys.set(key, (this.keys.get(key) ?? []).fill(undefined as unknown as string));
        reply(response, 200, {});
      }
    })(),
  },
  {
    name: "answers an empty value for what is missing",
    failing: /FAILED: a key that was never put does not exist[\s\S]*expected: status 404/,
    server: new (class extends PlainServer {
      override missing(response: ServerResponse): void {
        reply(response, 200, { value: "", version: 0 });
      }
    })(),
  },
  {
    name: "refuses to delete what is not there",
    failing:
      /FAILED: DELETE of a key that never was answers 200[\s\S]*sent: +DELETE[\s\S]*status 404/,
    server: new (class extends PlainServer {
      override delete(response: ServerResponse, key: string): void {
        if (this.keys.delete(key)) reply(response, 200, {});
        else this.missing(response);
      }
    })(),
  },
  {
    name: "reads the count, waits, and then writes",
    failing: /FAILED: 20 writers at once get versions 1 to 20/,
    server: new (class extends PlainServer {
      readonly waiting: (() => void)[] = [];

      override put(response: ServerResponse, key: string, value: string): void {
        const values = this.keys.get(key) ?? [];
        this.waiting.push(() => {
          this.keys.set(key, [...values, value]);
          reply(response, 200, { version: values.length + 1 });
        });
        // One of many at once waits for the next one, so that both have read the same count.
        const isAlone = !value.startsWith("writer ");
        if (isAlone || this.waiting.length === 2)
          for (const write of this.waiting.splice(0)) write();
      }
    })(),
  },
  {
    name: "trims what it stores",
    failing: /FAILED: a body is stored as it was sent[\s\S]*expected: .*"value":" a=1&b=%20\+c "/,
    server: new (class extends PlainServer {
      override put(response: ServerResponse, key: string, value: string): void {
        super.put(response, key, value.trim());
      }
    })(),
  },
  {
    name: "takes keys apart by case alone",
    failing: /FAILED: a key may hold any character/,
    server: new (class extends PlainServer {
      override put(response: ServerResponse, key: string, value: string): void {
        super.put(response, key.normalize("NFC"), value);
      }
    })(),
  },
];

for (const { name, failing, server } of DEFECTS) {
  test(`a server that ${name} fails the check for it`, async () => {
    const { code, stdout, stderr } = await checkOf(server);
    assert.equal(code, 1);
    assert.equal(stdout, "");
    assert.match(stderr, failing);
    assert.match(stderr, /\d+ of \d+ checks failed\.\n$/);
  });
}

test("a server that is not there is named in one line", async () => {
  const url = `http://127.0.0.1:${await freePort()}`;
  const { code, stderr } = await vss(["check", url], { cwd: tmpdir() });
  assert.equal(code, 1);
  assert.equal(
    stderr,
    `vss check: ${url} cannot be reached (ECONNREFUSED). Is a server running there?\n`,
  );
});

test("a server that does not answer is given up after --request-timeout", async () => {
  const silent = new (class extends PlainServer {
    override answer(): Promise<void> {
      return Promise.resolve();
    }
  })();
  const { code, stderr } = await checkOf(silent, ["--request-timeout", "200ms"]);
  assert.equal(code, 1);
  assert.match(stderr, /^vss check: .* did not answer within 200 ms\..*\n$/);
});

test("a signal stops the check, which still removes its keys", async () => {
  const server = new PlainServer();
  const slow = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
    const answer = (): void =>
      void server.answer(request, response).catch(() => response.destroy());
    setTimeout(answer, request.method === "GET" ? 20 : 0);
  });
  slow.listen(0, "127.0.0.1");
  await once(slow, "listening");
  const { port } = slow.address() as AddressInfo;
  const child = new VssProcess(["check", `http://127.0.0.1:${port}`], { cwd: tmpdir() });
  await waitUntil("the check to have begun", () => server.keys.size > 2);
  child.signal("SIGINT");
  const { code, stderr } = await child.ended();
  assert.equal(code, 1);
  assert.match(stderr, /stopped before the end; its keys were removed\.\n$/);
  assert.equal(server.keys.size, 0);
  slow.close();
});
