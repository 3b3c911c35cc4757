import { createHash } from "node:crypto";

/**
 * The value that a key is given: text of `size` bytes that no back end can pack small, and that no
 * other key has, so that an answer with another key's value is found out.
 */
export function valueOf(key: string, size: number): string {
  const head = `${key} `;
  if (head.length >= size) return key.slice(0, size);
  const blocks: string[] = [head];
  let length = head.length;
  for (let block = 0; length < size; block += 1) {
    const text = createHash("sha512").update(`${key}/${block}`).digest("base64url");
    blocks.push(text);
    length += text.length;
  }
  return blocks.join("").slice(0, size);
}
