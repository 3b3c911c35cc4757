import { COMMIT_ID_TTL_MS } from "../../limits.ts";
import { toScript, type Script } from "./scripts.ts";
import { answerSentBefore, KEPT_REPLY_BYTES_MAX } from "./sent-before.ts";

/**
 * Commits a batch of puts and nothing else to one partition, as the commit script would, but cheaper:
 * it has no functions of its own, since Lua makes those anew in every call, and makes few strings,
 * since Redis's Lua hashes every byte of each. A batch holds at most 1,024, so that `unpack` has room.
 *
 * KEYS: meta, index, feed, the writer's last commit, the keys' hashes. ARGV[1]: the plan (`encodePuts`
 * writes it). Answers what it told the feed: the time of the commit in 6 bytes, the number of changes
 * in 4, and for each put in order what `encodePuts` wrote for the feed, its version in 6, its time in
 * 6, and the incarnation behind its length in 1.
 */
const PUT = `
local call, pack, unpack_struct = redis.call, struct.pack, struct.unpack
local sub, format, KEYS, plan = string.sub, string.format, KEYS, ARGV[1]
local now, number, count, pos = unpack_struct('>I6I6H', plan)
${answerSentBefore("sub(previous, 7)")}
local name_start, sequence = #KEYS[1] + 2, tonumber(call('HGET', KEYS[1], 's') or 0)

-- What HSET is to set, key after key: the head, then each new version; and where a key's part ends.
local set, end_of, n = {}, {}, 0
local events, added, FIRST = {pack('>I6I4', now, count)}, {}, pack('>I6', 1)

for k = 5, #KEYS do
  local event, fresh, puts
  event, fresh, puts, pos = unpack_struct('>Hc0Bc0H', plan, pos)
  local head = call('HGET', KEYS[k], 'h')
  local v, at, g, first = 0, now, fresh, 1
  if head then
    v, at, g, first = unpack_struct('>I6I6Bc0I6', head)
    if at < now then at = now end
  else
    added[#added + 1] = '0'
    added[#added + 1] = sub(KEYS[k], name_start)
  end
  local text, about
  local head_at = n + 2
  set[n + 1], set[head_at] = 'h', ''
  n = head_at
  for _ = 1, puts do
    local place, entry
    place, entry, pos = unpack_struct('>HI4c0', plan, pos)
    v = v + 1
    if at ~= now then entry = pack('>I6', at) .. sub(entry, 7) end
    text, about = format('%d', v), pack('>I6I6Bc0', v, at, #g, g)
    events[place], events[place + 1] = event, about
    set[n + 1], set[n + 2] = text, entry
    n = n + 2
  end
  set[head_at] = about .. (first == 1 and FIRST or pack('>I6', first)) .. text
  end_of[k] = n
end

-- XADD comes first: of all writes it alone could be refused for what is stored.
local told = table.concat(events)
local last = format('%d', sequence + count)
call('XADD', KEYS[3], last .. '-0', 'e', told)
call('HSET', KEYS[1], 's', last)
n = 0
for k = 5, #KEYS do
  call('HSET', KEYS[k], unpack(set, n + 1, end_of[k]))
  n = end_of[k]
end
if #added > 0 then call('ZADD', KEYS[2], unpack(added)) end
local kept = #told > ${KEPT_REPLY_BYTES_MAX} and '' or told
call('SET', KEYS[4], pack('>I6', number) .. kept, 'PX', '${COMMIT_ID_TTL_MS}')
return told
`;

export const PUT_SCRIPT: Script = toScript(PUT);
