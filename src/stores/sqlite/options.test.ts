import assert from "node:assert/strict";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { StateError } from "../../errors.ts";
import { parseUrl } from "./options.ts";

test("a URL names a file by a relative or an absolute path", () => {
  assert.equal(parseUrl("sqlite:./data/state.db").file, join(process.cwd(), "data/state.db"));
  assert.equal(parseUrl("sqlite:state.db").file, resolve("state.db"));
  assert.equal(parseUrl("sqlite:/var/lib/state.db").file, "/var/lib/state.db");
  assert.equal(parseUrl("sqlite:///var/lib/state.db").file, "/var/lib/state.db");
  assert.equal(parseUrl("sqlite:/data/my state.db").file, "/data/my state.db");
});

test("a file's name may hold what a URL escapes", () => {
  assert.equal(parseUrl("sqlite:/a/100%25%3F.db").file, "/a/100%?.db");
  assert.equal(parseUrl("sqlite:/a/%E2%82%AC.db?").file, "/a/€.db");
});

const ILLEGAL: Readonly<Record<string, RegExp>> = {
  "sqlite:": /names a file/,
  "sqlite:?": /names a file/,
  "sqlite:/a.db?mode=ro": /"mode" is not known/,
  "sqlite:/a.db?cache&x=1": /"cache" is not known/,
  "sqlite:/a/100%.db": /%25/,
  "sqlite:/a%00.db": /U\+0000/,
  "sqlite::memory:": /memory:/,
  "sqlite://data/state.db": /no host/,
  "sqlite:~/state.db": /Write the folder out/,
  "sqlite:~ann/state.db": /Write the folder out/,
  "sqlite:./data/": /folder/,
};

for (const [url, reason] of Object.entries(ILLEGAL)) {
  test(`${url} is refused with what to do`, () => {
    assert.throws(
      () => parseUrl(url),
      (error) => {
        assert.ok(error instanceof StateError);
        assert.equal(error.code, "invalid_parameter");
        assert.deepEqual(error.details, { parameter: "store" });
        assert.match(error.message, reason);
        return true;
      },
    );
  });
}
