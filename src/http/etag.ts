import { StateError } from "../errors.ts";
import type { EntryRef } from "../store.ts";

/**
 * An entry's strong validator. The version alone would be wrong: a key deleted and put again is at
 * version 1 with another value.
 */
export function toEtag({ incarnation, version }: EntryRef): string {
  return `"${incarnation}.${version}"`;
}

const LIST_ITEM = /^[\t ]*(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"[\t ]*(?:,|$)/;
const OURS = /^([^.]+)\.([1-9][0-9]{0,15})$/;

/**
 * Reads `If-Match` or `If-None-Match`. Tags that this server can't have made match nothing and are
 * left out. A weak tag never matches where `weak` is false, as `If-Match` wants it.
 */
export function parseEtags(
  header: string,
  text: string,
  options: { readonly weak: boolean },
): readonly EntryRef[] | "*" {
  if (text.trim() === "*") return "*";
  const found: EntryRef[] = [];
  for (let rest = text; rest.trim() !== "";) {
    const item = LIST_ITEM.exec(rest);
    if (item === null) {
      throw new StateError(
        "invalid_parameter",
        `"${header}" is * or a list of entity tags in double quotes, as "ETag" has them.`,
        { details: { parameter: header } },
      );
    }
    const [whole, isWeak, opaque = ""] = item;
    const ours = OURS.exec(opaque);
    if (ours !== null && (options.weak || isWeak === undefined)) {
      found.push({ incarnation: ours[1] ?? "", version: Number(ours[2]) });
    }
    rest = rest.slice(whole.length);
  }
  return found;
}

/** Whether an `If-None-Match` of a read names this entry. */
export function isNamed(entry: EntryRef, tags: readonly EntryRef[] | "*"): boolean {
  if (tags === "*") return true;
  return tags.some(
    ({ incarnation, version }) => version === entry.version && incarnation === entry.incarnation,
  );
}
