import { StateError } from "../errors.ts";
import { pathOf } from "./path.ts";
import type { Route } from "./route.ts";

/**
 * The methods that a path takes; undefined where it is no path of this server. Where several routes
 * match, as `/{key}/restore` and `/{key}/{version}` do, the one with more fixed segments counts.
 */
export function methodsAt(
  routes: readonly Pick<Route, "method" | "path">[],
  url: string,
): readonly string[] | undefined {
  const segments = pathOf(url).split("/").slice(1);
  const matching = routes.filter(({ path }) => matches(path, segments));
  const fewest = Math.min(...matching.map(({ path }) => countParameters(path)));
  const methods = matching
    .filter(({ path }) => countParameters(path) === fewest)
    .flatMap(({ method }) => (method === "GET" ? ["GET", "HEAD"] : [method]));
  return methods.length === 0 ? undefined : methods;
}

function matches(path: string, segments: readonly string[]): boolean {
  const pattern = path.split("/").slice(1);
  if (pattern.length !== segments.length) return false;
  return pattern.every((part, index) => {
    const segment = segments[index] ?? "";
    if (!part.startsWith("{")) return segment === part;
    // "-" is no key: what lies below it is fixed.
    return segment !== "" && (index > 0 || segment !== "-");
  });
}

function countParameters(path: string): number {
  return path.split("{").length - 1;
}

/** A 405, with the methods that the path takes for its `Allow` header. */
export function methodNotAllowed(methods: readonly string[]): StateError {
  const allow = methods.join(", ");
  return new StateError("method_not_allowed", `This path takes ${allow}.`, { details: { allow } });
}
