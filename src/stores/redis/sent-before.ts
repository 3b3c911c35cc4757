/** Replies up to this size are kept with the commit's number, to be answered again. */
export const KEPT_REPLY_BYTES_MAX = 1024 * 1024;

/** Error code where the same commit was made before, but its reply was too large to be kept. */
export const REPLY_NOT_KEPT = "VSSREPLYNOTKEPT";
/** Error code of a commit that arrives after a later one of the same writer. */
export const COMMIT_SUPERSEDED = "VSSSUPERSEDED";

/**
 * The part of a script that commits which looks at its writer's last commit: the same number again is
 * answered as it was the first time, and a lower one, which can only be a copy that was held up on its
 * way, is refused. It takes `call`, `number`, and the writer's name as KEYS[4]. `kept` is the Lua that
 * makes the answer of `previous`, where 6 bytes of the number come first.
 */
export function answerSentBefore(kept: string): string {
  return `
local previous = call('GET', KEYS[4])
if previous then
  local last = struct.unpack('>I6', previous)
  if last > number then return redis.error_reply('${COMMIT_SUPERSEDED} a later commit came first') end
  if last == number then
    if #previous == 6 then return redis.error_reply('${REPLY_NOT_KEPT} the reply was too large') end
    return ${kept}
  end
end
`;
}
