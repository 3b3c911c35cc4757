import assert from "node:assert/strict";
import { test } from "node:test";
import { SETTINGS } from "./config.ts";
import { parseCommandLine, UsageError, type Parsed } from "./parse.ts";

function settingsOf(parsed: Parsed): Extract<Parsed, { kind: "run" }>["settings"] {
  assert.equal(parsed.kind, "run");
  return parsed.settings;
}

function parse(line: string, environment: Record<string, string> = {}): Parsed {
  return parseCommandLine(line === "" ? [] : line.split(" "), environment);
}

function assertRefused(line: string, message: RegExp, environment = {}): void {
  assert.throws(
    () => parse(line, environment),
    (error: unknown) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, message);
      assert.ok(!error.message.includes("\n"), "a usage error is one line");
      return true;
    },
  );
}

test("without arguments it serves with the defaults", () => {
  const settings = settingsOf(parse(""));
  assert.equal(settings.port, 5000);
  assert.equal(settings.host, "127.0.0.1");
  assert.equal(settings.store, "sqlite:./data/state.db");
  assert.equal(settings.maxValueBytes, 8 * 1024 * 1024);
  assert.equal(settings.drainTimeoutMs, 10_000);
  assert.equal(settings.keepVersions, undefined);
  assert.ok(Object.isFrozen(settings));
});

test("flags are read with their units, with a blank or with =", () => {
  const settings = settingsOf(
    parse(
      "serve --port 0 --store=memory: --max-value-size 64KiB --drain-timeout=1.5s --keep-age 30d",
    ),
  );
  assert.equal(settings.port, 0);
  assert.equal(settings.store, "memory:");
  assert.equal(settings.maxValueBytes, 65_536);
  assert.equal(settings.drainTimeoutMs, 1_500);
  assert.equal(settings.keepAgeMs, 30 * 86_400_000);
});

test("the last of a flag counts, so that an npm script's own can be overruled", () => {
  const settings = settingsOf(parse("--store redis://127.0.0.1:6379 --store memory:"));
  assert.equal(settings.store, "memory:");
});

test("a flag beats its variable, and a variable beats the default", () => {
  const environment = { VSS_PORT: "1111", VSS_HOST: "::1", VSS_LOG_REQUESTS: "true" };
  const settings = settingsOf(parse("--port 2222", environment));
  assert.equal(settings.port, 2222);
  assert.equal(settings.host, "::1");
  assert.equal(settings.logRequests, true);
  assert.equal(settings.requireDurable, false);
  assert.equal(settingsOf(parse("", { VSS_PORT: "" })).port, 5000);
});

test("switches need no value and take one after =", () => {
  assert.equal(settingsOf(parse("--log-requests")).logRequests, true);
  assert.equal(settingsOf(parse("--log-requests=false")).logRequests, false);
  assertRefused("--log-requests=maybe", /--log-requests is true or false, not "maybe"/);
});

test("every setting has a flag and a variable of its own", () => {
  for (const { flag, variable, help } of Object.values(SETTINGS)) {
    assert.match(flag, /^[a-z]+(-[a-z]+)*$/);
    assert.equal(variable, `VSS_${flag.toUpperCase().replaceAll("-", "_")}`);
    assert.match(help, /^[A-Z].*\.$/);
  }
});

test("an unknown flag is refused, with the one that was likely meant", () => {
  assertRefused("--prot 80", /There is no flag --prot\. Did you mean --port\?/);
  assertRefused("--max-value-sise=1KiB", /Did you mean --max-value-size\?/);
  assertRefused("--frobnicate", /There is no flag --frobnicate\. See: vss help/);
});

test("an unknown command is refused, with the one that was likely meant", () => {
  assertRefused("chekc http://127.0.0.1:5000", /no command "chekc"\. Did you mean check\?/);
  assertRefused("toString", /no command "toString"/);
});

test("values that are not legal are refused with what would be", () => {
  assertRefused("--port 70000", /--port is a whole number from 0 to 65535, not "70000"/);
  assertRefused("--port", /--port needs a value: --port <number>/);
  assertRefused("--drain-timeout 10", /--drain-timeout is a duration such as .*, not "10"/);
  assertRefused("--max-value-size 16MiB", /--max-value-size is from 1B to 15MiB, not "16MiB"/);
  assertRefused("--log-level loud", /--log-level is one of debug, info/);
  assertRefused("", /VSS_PORT is a whole number/, { VSS_PORT: "tcp://10.0.0.1:80" });
});

test("a flag of another command is refused", () => {
  assertRefused("check http://127.0.0.1:5000 --port 1", /vss check has no flag --port/);
});

test("missing and surplus arguments are refused, without showing a password", () => {
  assertRefused("check", /vss check needs <url>/);
  assertRefused("serve redis://:hunter2@db:6379", /takes no argument "redis:\/\/:\*\*\*@db:6379"/);
});

test("help and version are known as words and as flags", () => {
  assert.deepEqual(parse("help"), { kind: "help", command: undefined });
  assert.deepEqual(parse("--help"), { kind: "help", command: undefined });
  assert.deepEqual(parse("help check"), { kind: "help", command: "check" });
  assert.deepEqual(parse("check -h"), { kind: "help", command: "check" });
  assert.deepEqual(parse("version"), { kind: "version" });
  assert.deepEqual(parse("-v"), { kind: "version" });
});
