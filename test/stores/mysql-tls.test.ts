import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { keyOf, putOne, readEntry, textOf, unique } from "../../src/conformance/build.ts";
import { StateError } from "../../src/errors.ts";
import { freshUrls } from "../servers/fresh-url.ts";
import { startMariadb } from "../servers/mariadb.ts";
import { removeFolder, temporaryFolder } from "../servers/process.ts";
import { isSelected } from "../servers/selection.ts";
import { Stopwatch } from "../servers/stopwatch.ts";
import { openMysql } from "./mysql-support.ts";
import { failsWith, PATIENCE_MS } from "./support.ts";

if (isSelected("mariadb")) {
  const folder = await temporaryFolder("mariadb-tls");
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  const request = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=database";
  const names = ["-addext", "subjectAltName=DNS:database.example", "-keyout", key, "-out", cert];
  await promisify(execFile)("openssl", [...request.split(" "), ...names]);
  const server = await startMariadb({
    args: [`--ssl-cert=${cert}`, `--ssl-key=${key}`, "--require-secure-transport=ON"],
  });
  after(async () => {
    await server.stop();
    await removeFolder(folder);
  });
  const newUrl = freshUrls(server);

  const urlWith = (ssl: string): string => {
    const url = new URL(newUrl());
    url.hostname = "localhost";
    url.searchParams.set("ssl", ssl);
    return url.href;
  };

  test("a store speaks TLS with a server whose authority is named in the URL", async (t) => {
    const store = await openMysql(t, urlWith(JSON.stringify({ ca: cert })));
    const name = keyOf(unique());
    await putOne(store, name, "secret");
    assert.equal(textOf(await readEntry(store, name)), "secret");
  });

  const refused: Record<string, string> = {
    "whose authority nobody knows": urlWith("true"),
    "that goes by another name": urlWith(JSON.stringify({ ca: cert, verifyIdentity: true })),
  };
  for (const [what, url] of Object.entries(refused)) {
    test(`a server ${what} is refused at once, with TLS as the reason`, async (t) => {
      using watch = new Stopwatch();
      await assert.rejects(openMysql(t, url), (error: unknown) => {
        assert.ok(error instanceof StateError);
        assert.match(error.message, /TLS/);
        return failsWith("store_unavailable")(error);
      });
      assert.ok(watch.ms < PATIENCE_MS / 2, "without waiting for connectTimeoutMs");
    });
  }

  test("a certificate file that is not there is a mistake in the URL", async (t) => {
    const url = urlWith(JSON.stringify({ ca: join(folder, "none.pem") }));
    await assert.rejects(openMysql(t, url), failsWith("invalid_parameter"));
  });
}
