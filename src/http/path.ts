import { StateError } from "../errors.ts";

/**
 * Reads the segments of a request target as it was sent. The router has decoded it for its own use;
 * a key is taken from here, so that it is percent-decoded exactly once, and byte for byte.
 */

/** The path as sent, without the query. A target in absolute form loses its scheme and host. */
export function pathOf(url: string): string {
  const path = url.charCodeAt(0) === SLASH ? url : withoutOrigin(url);
  const end = path.indexOf("?");
  return end === -1 ? path : path.slice(0, end);
}

const SLASH = 0x2f;

function withoutOrigin(url: string): string {
  const origin = url.indexOf("://");
  // "*", as OPTIONS may send it, is no path.
  if (origin === -1) return url;
  const start = url.indexOf("/", origin + 3);
  return start === -1 ? "/" : url.slice(start);
}

/** The first segment as sent. */
export function keySegment(url: string): string {
  const path = pathOf(url);
  const end = path.indexOf("/", 1);
  return end === -1 ? path.slice(1) : path.slice(1, end);
}

/** The key that a request is about; the state checks what is decoded here. */
export function keyOf(url: string): string {
  return decodeSegment(keySegment(url));
}

/** The second segment, decoded: a version or a word. */
export function secondSegment(url: string): string {
  const path = pathOf(url);
  return decodeSegment(path.slice(path.indexOf("/", 1) + 1));
}

function decodeSegment(segment: string): string {
  // A fragment never travels; where a raw "#" comes, its sender meant "%23" or a fragment.
  if (segment.includes("#")) {
    throw new StateError("invalid_key", 'A "#" in a path is sent as "%23".');
  }
  if (!segment.includes("%")) return segment;
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    throw undecodable(cause);
  }
}

/** What a path is answered with that is no percent-encoded UTF-8. */
export function undecodable(cause: unknown): StateError {
  return new StateError(
    "invalid_key",
    'A "%" in a path begins two hexadecimal digits, and the bytes they stand for are UTF-8.',
    { cause },
  );
}

/** A canonical positive integer that JavaScript holds exactly; undefined for all else. */
export function parseVersion(text: string): number | undefined {
  if (!/^[1-9][0-9]{0,15}$/.test(text)) return undefined;
  const version = Number(text);
  return Number.isSafeInteger(version) ? version : undefined;
}
