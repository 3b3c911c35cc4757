import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createProxy, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import { HTTP_CASES } from "../../src/conformance/http.ts";
import { HttpContext } from "../../src/conformance/http-client.ts";
import { createServer, type HttpServer } from "../../src/http/server.ts";
import { open, type VersionedState } from "../../src/index.ts";
import { isSelected } from "../servers/selection.ts";
import { serverDefects, type ServerDefect } from "./broken/server-defects.ts";

/** Starts a proxy that spoils what passes, and answers its URL. */
async function startProxy(target: HttpContext, defect: ServerDefect) {
  const proxy = createProxy((request, response) => {
    pass(target, defect, { request, response }).catch(() => response.destroy());
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const { port } = proxy.address() as AddressInfo;
  const stop = async (): Promise<void> => {
    proxy.closeAllConnections();
    proxy.close();
    await once(proxy, "close");
  };
  return { url: `http://127.0.0.1:${port}`, stop };
}

async function pass(
  target: HttpContext,
  defect: ServerDefect,
  { request, response }: { readonly request: IncomingMessage; readonly response: ServerResponse },
): Promise<void> {
  const asked = {
    method: request.method ?? "GET",
    path: request.url ?? "/",
    headers: plainHeaders(request.headers),
    body: Buffer.concat(await request.toArray()),
  };
  delete asked.headers["transfer-encoding"];
  delete asked.headers["host"];
  defect.request?.(asked);
  asked.headers["content-length"] = String(asked.body.length);
  const reply = await target.send(asked);
  const answered = { ...reply, headers: plainHeaders(reply.headers) };
  delete answered.headers["transfer-encoding"];
  delete answered.headers["content-length"];
  defect.answer?.(answered, asked);
  response.writeHead(answered.status, answered.headers).end(answered.body);
}

function plainHeaders(headers: IncomingMessage["headers"]): Record<string, string> {
  const entries = Object.entries(headers).map(([name, value]) => [name, String(value)] as const);
  return Object.fromEntries(entries);
}

if (isSelected("memory")) {
  describe("the HTTP suite finds a server that", () => {
    let state: VersionedState;
    let server: HttpServer;
    let direct: HttpContext;
    before(async () => {
      state = await open("memory:");
      server = await createServer(state);
      const { port } = await server.listen({ port: 0 });
      direct = new HttpContext(`http://127.0.0.1:${port}`);
    });
    after(async () => {
      direct.close();
      await server.close(0);
      await state.close();
    });
    const runThrough = async (defect: ServerDefect): Promise<void> => {
      const test = HTTP_CASES.find(({ name }) => name === defect.caughtBy);
      assert.ok(test !== undefined, `there is no case "${defect.caughtBy}"`);
      const proxy = await startProxy(direct, defect);
      const http = new HttpContext(proxy.url);
      try {
        await test.run(http);
      } finally {
        http.close();
        await proxy.stop();
      }
    };
    for (const defect of serverDefects) {
      it(`${defect.what}, by "${defect.caughtBy}"`, { timeout: 120_000 }, async () => {
        const { what, caughtBy } = defect;
        await runThrough({ what, caughtBy });
        await assert.rejects(runThrough(defect), "the defect is found");
      });
    }
  });
}
