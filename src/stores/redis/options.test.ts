import assert from "node:assert/strict";
import { test } from "node:test";
import { StateError } from "../../errors.ts";
import { parseRedisUrl } from "./options.ts";

test("a URL without anything names the usual local server", () => {
  const { topology, addresses, database, prefix, username, password, replicas } =
    parseRedisUrl("redis://");
  assert.equal(topology, "single");
  assert.deepEqual(addresses, [{ host: "127.0.0.1", port: 6379 }]);
  assert.deepEqual(
    { database, prefix, username, password, replicas },
    { database: 0, prefix: "vss", username: undefined, password: undefined, replicas: undefined },
  );
});

test("user, password, host, port and database are read, percent-decoded", () => {
  const options = parseRedisUrl("redis://us%40er:p%2Fw%3A%25@[::1]:7000/3?prefix=a.b:c-d_1");
  assert.equal(options.username, "us@er");
  assert.equal(options.password, "p/w:%");
  assert.deepEqual(options.addresses, [{ host: "::1", port: 7000 }]);
  assert.equal(options.database, 3);
  assert.equal(options.prefix, "a.b:c-d_1");
  assert.equal(parseRedisUrl("redis://:only@h").password, "only");
  assert.equal(parseRedisUrl("redis://:only@h").username, undefined);
});

test("a cluster and sentinels take lists of hosts", () => {
  const cluster = parseRedisUrl("redis-cluster://a:1,b:2,c");
  assert.equal(cluster.topology, "cluster");
  assert.deepEqual(cluster.addresses.at(-1), { host: "c", port: 6379 });
  const sentinel = parseRedisUrl("redis-sentinel://:pw@a,b:2/main%2Fname?db=4&sentinelPassword=x");
  assert.equal(sentinel.topology, "sentinel");
  assert.deepEqual(sentinel.addresses, [
    { host: "a", port: 26_379 },
    { host: "b", port: 2 },
  ]);
  assert.equal(sentinel.masterName, "main/name");
  assert.equal(sentinel.database, 4);
  assert.equal(sentinel.password, "pw");
  assert.equal(sentinel.sentinelPassword, "x");
});

test("options of the driver are handed on under its own names", () => {
  const options = parseRedisUrl(
    "rediss://h?name=app&keepAlive=false&family=6&rejectUnauthorized=false&socketTimeout=1900",
  );
  assert.deepEqual(options.client, { name: "app" });
  assert.deepEqual(options.socket, {
    keepAlive: false,
    family: 6,
    rejectUnauthorized: false,
    tls: true,
  });
  assert.equal(options.socketTimeout, 1900);
  assert.equal(parseRedisUrl("redis-cluster://h").socket["tls"], undefined);
  assert.equal(parseRedisUrl("rediss-cluster://h").socket["tls"], true);
});

const ILLEGAL: readonly (readonly [url: string, reason: RegExp])[] = [
  ["redis:127.0.0.1", /The form is redis:/],
  ["redis://a,b", /Several hosts need redis-cluster/],
  ["redis://h:0", /A host is "name:port"/],
  ["redis://h:70000", /A host is "name:port"/],
  ["redis://h/x", /The path is a database number/],
  ["redis-cluster://h/1", /no database numbers/],
  ["redis-sentinel://h", /ends in the master's name/],
  ["redis://h?prefx=a", /No parameter "prefx"\. Known are prefix, /],
  ["redis://:top?s3cret@h/0", /No parameter of such a name\..* A question mark .* %3F/],
  ["redis://h?socketTimeout=900", /"socketTimeout" is at least 1500/],
  ["redis://h?db=1", /No parameter "db"/],
  ["redis://h?ca=x", /No parameter "ca"/],
  ["redis://h?prefix=a&prefix=b", /stands there twice/],
  ["redis://h?prefix={a}", /"prefix" is 1 to 64 of/],
  ["redis://h?replicas=-1", /"replicas" is a whole number/],
  ["redis://h?noDelay=1", /"noDelay" is true or false/],
  ["rediss://h?ca=/no/such/file.pem", /"ca" names a PEM file that can't be read/],
  ["redis://a:%E0%A4%A@h", /percent-encoded/],
];

for (const [url, reason] of ILLEGAL) {
  test(`${url} is refused`, () => {
    assert.throws(
      () => parseRedisUrl(url),
      (error) => {
        assert.ok(error instanceof StateError && error.code === "invalid_parameter");
        assert.match(error.message, reason);
        assert.doesNotMatch(error.message, /s3cret/);
        assert.deepEqual(error.details, { parameter: "store" });
        return true;
      },
    );
  });
}

test("no message repeats the URL or what is in it", () => {
  for (const url of ["redis://user:hunter2@h:0", "redis://:hunter2@h?hunter3=1", "x//:hunter2@"]) {
    assert.throws(
      () => parseRedisUrl(url),
      (error) => error instanceof StateError && !error.message.includes("hunter2"),
    );
  }
});
