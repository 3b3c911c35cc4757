import { resolve } from "node:path";

import { StateError } from "../../errors.ts";

/** What a `sqlite:` URL says. */
export interface SqliteOptions {
  /** The database file as an absolute path. */
  readonly file: string;
}

/**
 * Reads `sqlite:<file>`, where the file is a relative or an absolute path. As in any URL, a `?` or `%`
 * that belongs to the file's name is written `%3F` or `%25`. There are no options.
 */
export function parseUrl(url: string): SqliteOptions {
  const rest = url.slice("sqlite:".length);
  const mark = rest.indexOf("?");
  const path = decode(mark === -1 ? rest : rest.slice(0, mark));
  if (mark !== -1 && mark < rest.length - 1) {
    const [name = ""] = rest.slice(mark + 1).split(/[=&]/, 1);
    throw invalid(`A sqlite: URL takes no options; "${name}" is not known.`);
  }
  if (path === "") throw invalid("A sqlite: URL names a file, such as sqlite:./data/state.db.");
  if (path.includes("\0")) throw invalid("A file name may not hold U+0000.");
  if (path.includes(":memory:")) {
    throw invalid("The sqlite: store keeps a file. For a store in memory, use memory: instead.");
  }
  if (path.startsWith("//") && !path.startsWith("///")) {
    throw invalid(
      "A sqlite: URL has no host: write sqlite:./data/state.db or sqlite:/var/lib/state.db.",
    );
  }
  if (/^~[^/]*\//.test(path)) {
    throw invalid(
      'No shell replaces a "~" behind "sqlite:". Write the folder out, as in sqlite:$HOME/state.db, ' +
        "or sqlite:./~/state.db for a folder of that name.",
    );
  }
  if (path.endsWith("/")) throw invalid("A sqlite: URL names a file, and this names a folder.");
  return { file: resolve(path) };
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw invalid(`The file's name holds a "%" that starts no escape: write it as %25.`);
  }
}

function invalid(message: string): StateError {
  return new StateError("invalid_parameter", message, { details: { parameter: "store" } });
}
