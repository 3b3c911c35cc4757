import assert from "node:assert/strict";
import { test } from "node:test";
import { StateError } from "../../errors.ts";
import { parseMysqlUrl } from "./options.ts";

test("a URL without anything but its scheme and host means the usual local server", () => {
  const { database, prefix, driver } = parseMysqlUrl("mysql://127.0.0.1");
  assert.deepEqual([database, prefix], ["vss", "vss"]);
  assert.deepEqual(driver, { host: "127.0.0.1", port: 3306, user: "root", password: "" });
});

test("each part of a URL is percent-decoded and ends up where the driver wants it", () => {
  const parsed = parseMysqlUrl("mariadb://us%40er:p%2Fa%3As%25s@[::1]:4000/d%C3%A4ta?prefix=app-1");
  assert.deepEqual(parsed.driver, { host: "::1", port: 4000, user: "us@er", password: "p/a:s%s" });
  assert.deepEqual([parsed.scheme, parsed.database, parsed.prefix], ["mariadb", "däta", "app-1"]);
});

test("options of the driver are read as what they are", () => {
  const parsed = parseMysqlUrl(
    "mysql://h/d?connectTimeout=500&compress=true&enableKeepAlive=false&socketPath=/run/x.sock" +
      "&connectionLimit=4&idleTimeout=9000",
  );
  const { connectTimeout, compress, enableKeepAlive, socketPath } = parsed.driver;
  assert.deepEqual(
    [connectTimeout, compress, enableKeepAlive, socketPath],
    [500, true, false, "/run/x.sock"],
  );
  assert.deepEqual([parsed.connectionLimit, parsed.idleTimeoutMs], [4, 9000]);
});

test("TLS is asked for in a word, by a profile of the driver, or in full", () => {
  const ssl = (text: string) =>
    parseMysqlUrl(`mysql://h/d?ssl=${encodeURIComponent(text)}`).driver.ssl;
  assert.deepEqual(ssl("true"), { verifyIdentity: true });
  assert.equal(ssl("false"), undefined);
  assert.equal(ssl("Amazon RDS"), "Amazon RDS");
  assert.deepEqual(ssl('{"rejectUnauthorized":false}'), { rejectUnauthorized: false });
});

const refused: Record<string, [url: string, says: RegExp]> = {
  "an unknown option": ["mysql://h/d?timeout=5", /"timeout" is no option.*prefix/],
  "an option given twice": ["mysql://h/d?prefix=a&prefix=b", /"prefix" is given twice/],
  "a prefix that is no table name": ["mysql://h/d?prefix=a%60b", /"prefix" is/],
  "an empty prefix": ["mysql://h/d?prefix=", /"prefix" is/],
  "a number that is none": ["mysql://h/d?connectTimeout=1s", /"connectTimeout" is a whole/],
  "a flag that is none": ["mysql://h/d?compress=1", /"compress" is true or false/],
  "too few connections": ["mysql://h/d?connectionLimit=2", /at least 3/],
  "several hosts": ["mysql://a:1,b:2/d", /one host/],
  "a database with a backtick": ["mysql://h/a%60b", /database's name/],
  "a database with a slash": ["mysql://h/a/b", /database's name/],
  "broken TLS options": ["mysql://h/d?ssl={", /"ssl" is/],
  "another scheme": ["postgres://h/d", /mysql:\/\/user/],
};

for (const [what, [url, says]] of Object.entries(refused)) {
  test(`${what} is refused with a sentence that says what is legal`, () => {
    assert.throws(
      () => parseMysqlUrl(url),
      (error: unknown) =>
        error instanceof StateError &&
        error.code === "invalid_parameter" &&
        says.test(error.message),
    );
  });
}

test("no refusal repeats the password", () => {
  for (const url of [
    "mysql://u:hunter2@a:1,b:2/d",
    "mysql://u:hunter2%zz@h/d",
    "mysql://u:hunter2@h/d?x=1",
  ]) {
    assert.throws(
      () => parseMysqlUrl(url),
      (error: unknown) => error instanceof StateError && !error.message.includes("hunter2"),
    );
  }
});
