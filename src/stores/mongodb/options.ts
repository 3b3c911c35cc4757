import { MongoClient, MongoInvalidArgumentError, MongoParseError } from "mongodb";
import { StateError } from "../../errors.ts";

/** What a MongoDB URL says, checked. */
export interface MongodbOptions {
  readonly scheme: string;
  /** The URL as the driver takes it: without the parameters that are the store's own. */
  readonly driverUrl: string;
  /** Names of the driver's parameters that the URL sets, in lower case. */
  readonly driverParameters: ReadonlySet<string>;
  readonly database: string;
  /** Stands before every collection's name, with a `_` between; may be empty. */
  readonly prefix: string;
  /** `linearizable`: each batch of reads is confirmed by a majority before it is answered. */
  readonly readConcern: "majority" | "linearizable";
}

const URL_FORM = /^(mongodb(?:\+srv)?):\/\/([^/?#]+)(?:\/([^?#]*))?(?:\?([^#]*))?$/;
const PREFIX_FORM = /^[A-Za-z0-9_.:-]{1,64}$/;
/** What MongoDB forbids in a database's name, and Windows servers beside. */
const DATABASE_FORM = /^[^/\\. "$*<>:|?\0]{1,63}$/;
const DATABASE_DEFAULT = "vss";

/** Parameters that would weaken what the store promises, with the only value that each may have. */
const FIXED: Readonly<Record<string, { readonly value: string; readonly why: string }>> = {
  w: { value: "majority", why: "a write is acknowledged once a majority has it" },
  journal: { value: "true", why: "a write is acknowledged once it is journaled" },
  readpreference: { value: "primary", why: "a secondary may not have the latest version yet" },
};

/**
 * Reads `mongodb://` and `mongodb+srv://` URLs. Throws `invalid_parameter`; its message never repeats
 * the URL, which may hold a password.
 */
export function parseMongodbUrl(url: string): MongodbOptions {
  const match = URL_FORM.exec(url);
  if (match === null) {
    throw invalid(
      "The form is mongodb://[user:password@]host[:port][,host…][/database][?parameters].",
    );
  }
  const [, scheme = "", authority = "", path = "", query = ""] = match;
  const parameters = [...new URLSearchParams(query)];
  const prefix = take(parameters, "prefix") ?? "";
  if (prefix !== "" && !PREFIX_FORM.test(prefix)) {
    throw invalid(`"prefix" is 1 to 64 letters, digits and _ . : -`, "prefix");
  }
  const readConcern = take(parameters, "readConcernLevel") ?? "majority";
  if (readConcern !== "majority" && readConcern !== "linearizable") {
    throw invalid(
      `"readConcernLevel" is majority or linearizable: a weaker one would not see every write.`,
      "readConcernLevel",
    );
  }
  for (const [name, value] of parameters) checkFixed(name, value);
  const rest = new URLSearchParams(parameters).toString();
  const driverUrl = `${scheme}://${authority}/${path}${rest === "" ? "" : `?${rest}`}`;
  checkWithDriver(driverUrl, parameters);
  return {
    scheme,
    driverUrl,
    driverParameters: new Set(parameters.map(([name]) => name.toLowerCase())),
    database: parseDatabase(path),
    prefix,
    readConcern,
  };
}

/** Removes a parameter of the store's own from the list and answers its value. */
function take(parameters: [string, string][], name: string): string | undefined {
  const isIt = ([other]: [string, string]): boolean => other.toLowerCase() === name.toLowerCase();
  const index = parameters.findIndex(isIt);
  if (index === -1) return undefined;
  const [removed] = parameters.splice(index, 1);
  if (parameters.some(isIt)) throw invalid(`The parameter "${name}" stands there twice.`, name);
  return removed?.[1];
}

function checkFixed(name: string, value: string): void {
  const fixed = Object.hasOwn(FIXED, name.toLowerCase()) ? FIXED[name.toLowerCase()] : undefined;
  if (fixed === undefined || fixed.value === value) return;
  throw invalid(`"${name}" can only be ${fixed.value} here: ${fixed.why}.`, name);
}

function parseDatabase(path: string): string {
  if (path === "") return DATABASE_DEFAULT;
  let name: string | undefined;
  try {
    name = decodeURIComponent(path);
  } catch {
    name = undefined;
  }
  if (name === undefined || !DATABASE_FORM.test(name)) {
    throw invalid("The path is the name of a database, as in mongodb://host/vss.");
  }
  return name;
}

/**
 * The driver parses a URL when a client is made, and connects later. Its messages may repeat the URL,
 * so where it refuses, each parameter is tried alone, to name the one at fault ourselves.
 */
function checkWithDriver(url: string, parameters: readonly [string, string][]): void {
  const refusal = refusalOf(url);
  if (refusal === undefined) return;
  for (const [name, value] of parameters) {
    const alone = new URLSearchParams([[name, value]]).toString();
    if (refusalOf(`mongodb://localhost/?${alone}`) !== undefined) {
      throw invalid(`The MongoDB driver has no parameter "${name}" with that value.`, name);
    }
  }
  throw invalid(
    "The MongoDB driver does not take this URL. Check that user and password are percent-encoded.",
  );
}

function refusalOf(url: string): unknown {
  try {
    // Never connected, so there is nothing to close.
    void new MongoClient(url);
    return undefined;
  } catch (error) {
    if (error instanceof MongoParseError || error instanceof MongoInvalidArgumentError) {
      return error;
    }
    throw invalid("The MongoDB driver does not take this URL.");
  }
}

function invalid(reason: string, parameter = "store"): StateError {
  return new StateError("invalid_parameter", `The MongoDB URL is not legal. ${reason}`, {
    details: { parameter },
  });
}
