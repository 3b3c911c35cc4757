import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { keyOf, putOne, readEntry, textOf, unique } from "../../src/conformance/build.ts";
import { freePort, removeFolder, temporaryFolder } from "../servers/process.ts";
import { startOwnRedis } from "../servers/redis.ts";
import { isSelected } from "../servers/selection.ts";
import { failsWith, PATIENCE_MS } from "./support.ts";
import { openPatiently, startWithFirstFailure } from "./redis-support.ts";

/** Made for these tests alone: of localhost and 127.0.0.1, for a hundred years. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBZjCCAQ2gAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABBaWbFpyB+0uFpJk
QKfeFHff1nkhhfOqLv2vvXA7VB8UXBFa7rdiBRac/4Hg66VIVKBMh/xJBM6aaoxk
+FRbkLyjTjBMMBoGA1UdEQQTMBGCCWxvY2FsaG9zdIcEfwAAATAPBgNVHRMBAf8E
BTADAQH/MB0GA1UdDgQWBBRbeMTpWqQzurbDVYHiO5ZuYqmBjjAKBggqhkjOPQQD
AgNHADBEAiB1tfS7tH24t9eNFQe/ABhfVXWdlMSNb199DsSh3hBQBwIgPKVZtp4M
/s0p2d3g23iO0kXcO71esY+bNWm9iv5r4es=
-----END CERTIFICATE-----
`;
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgPewyaCuOQZYdOe1A
HC7D7Db21o05bBQ/VZ6RUnKqKYGhRANCAAQWlmxacgftLhaSZECn3hR339Z5IYXz
qi79r71wO1QfFFwRWu63YgUWnP+B4OulSFSgTIf8SQTOmmqMZPhUW5C8
-----END PRIVATE KEY-----
`;

if (isSelected("redis")) {
  test("rediss:// speaks TLS, and checks the certificate", async (t) => {
    const folder = await temporaryFolder("redis-tls");
    t.after(() => removeFolder(folder));
    const [certificate, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
    await writeFile(certificate, CERTIFICATE);
    await writeFile(key, KEY);
    const port = await freePort();
    const files = `--tls-cert-file ${certificate} --tls-key-file ${key} --tls-ca-cert-file ${certificate}`;
    const settings = `--tls-port ${port} ${files} --tls-auth-clients no`;
    const server = await startOwnRedis({ args: settings.split(" ") });
    t.after(() => server.stop());

    const store = await openPatiently(t, `rediss://127.0.0.1:${port}?ca=${certificate}`);
    const id = keyOf(unique());
    await putOne(store, id, "value");
    assert.equal(textOf(await readEntry(store, id, "latest")), "value");

    const unchecked = openPatiently(t, `rediss://127.0.0.1:${port}?connectTimeout=${PATIENCE_MS}`, {
      ...startWithFirstFailure(),
      connectTimeoutMs: 100,
    });
    await assert.rejects(unchecked, (error) => {
      assert.ok(failsWith("store_unavailable")(error));
      assert.match(String(error), /certificate was not accepted .* ca=/);
      return true;
    });
    const trusting = await openPatiently(t, `rediss://127.0.0.1:${port}?rejectUnauthorized=false`);
    assert.equal(textOf(await readEntry(trusting, id, "latest")), "value");
  });
}
