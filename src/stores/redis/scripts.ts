import { createHash } from "node:crypto";

/** A Lua script, and the hash by which EVALSHA names it. */
export interface Script {
  readonly source: string;
  readonly sha: string;
}

/**
 * What the scripts share. Numbers are big-endian and binary where they are not names of fields: Lua
 * and Redis turn a number into text slowly, and one of 15 digits into `1.7637696e+14`.
 *
 * A head is the latest version in 6 bytes, its time in 6, the incarnation behind its length in 1, the
 * first kept version in 6, and the latest version again as text, which is its entry's field. An entry
 * begins with its time in 6 bytes, flags in 1 (bit 0: its value is large, and in a field of its own),
 * and its value's size in 4; the value, where it is not large, comes last.
 */
export const SHARED_LUA = `
local call, pack, unpack_struct = redis.call, struct.pack, struct.unpack
local sub, byte, format = string.sub, string.byte, string.format

local function latest_field(head) return sub(head, 20 + byte(head, 13)) end

local function first_version(head) return (unpack_struct('>I6', head, 14 + byte(head, 13))) end

local function is_large(entry) return byte(entry, 7) % 2 == 1 end

local function without_value(entry)
  if is_large(entry) then return entry end
  return sub(entry, 1, #entry - unpack_struct('>I4', entry, 8))
end
`;

export function toScript(source: string): Script {
  return { source, sha: createHash("sha1").update(source).digest("hex") };
}

/** Stands in a reply for an entry that retention has removed. One that is not there is null. */
export const TRIMMED = -1;

/**
 * Reads latest entries. KEYS: the keys' hashes. Answers one string, which costs the driver less than
 * many: for each the head and the entry, or a version of 0. A large value is not read: Lua would hash
 * every byte of it, which takes Redis ten times as long as to send it.
 */
const READ_LATEST = `
local call, sub, byte = redis.call, string.sub, string.byte
local KEYS, out, n = KEYS, {}, 0
for i = 1, #KEYS do
  local key = KEYS[i]
  local head = call('HGET', key, 'h')
  if head then
    out[n + 1], out[n + 2] = head, call('HGET', key, sub(head, 20 + byte(head, 13)))
    n = n + 2
  else
    n = n + 1
    out[n] = '\\0\\0\\0\\0\\0\\0'
  end
end
return table.concat(out)
`;

/**
 * Reads entries. KEYS: the keys' hashes. ARGV[1]: for each a letter: `l` latest, `v` by version, `a`
 * as of a time, in upper case with its value. ARGV[2…]: the version or time of each that has one.
 * Answers for each what is not there, or: the version where it was asked for by time, the head, the
 * entry; large values are not read.
 */
const READ = `${SHARED_LUA}
local TRIMMED = ${TRIMMED}
local kinds, arg = ARGV[1], 1
local out = {}

local function find_as_of(key, head, time)
  local first, latest = first_version(head), unpack_struct('>I6', head)
  local low, high = first, latest + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    if unpack_struct('>I6', call('HGET', key, format('%d', middle))) <= time then low = middle + 1
    else high = middle end
  end
  if low > first then return low - 1 end
  if first > 1 then return nil, TRIMMED end
  return nil, false
end

local function append(key, field, head, wants_value)
  local entry = call('HGET', key, field)
  if not entry then
    out[#out + 1] = TRIMMED
    return
  end
  if not wants_value then entry = without_value(entry) end
  local n = #out
  out[n + 1], out[n + 2] = head, entry
end

local function append_selected(key, head, kind, wanted, wants_value)
  if kind == 118 then
    if wanted > unpack_struct('>I6', head) or wanted < 1 then
      out[#out + 1] = false
    else
      append(key, format('%d', wanted), head, wants_value)
    end
    return
  end
  local version, missing = find_as_of(key, head, wanted)
  out[#out + 1] = version or missing
  if version then append(key, format('%d', version), head, wants_value) end
end

for i = 1, #KEYS do
  local key, kind = KEYS[i], byte(kinds, i)
  local wants_value = kind < 97
  if wants_value then kind = kind + 32 end
  local wanted
  if kind ~= 108 then
    arg = arg + 1
    wanted = tonumber(ARGV[arg])
  end
  local head = call('HGET', key, 'h')
  if not head then
    out[#out + 1] = false
  elseif kind == 108 then
    append(key, latest_field(head), head, wants_value)
  else
    append_selected(key, head, kind, wanted, wants_value)
  end
end
return out
`;

/**
 * A page of one key's history without values. KEYS[1]: the key's hash. ARGV: `up` or `down`, the
 * version that bounds it (exclusive), the limit. Answers the head, the first version, the entries.
 */
const HISTORY = `${SHARED_LUA}
local head = call('HGET', KEYS[1], 'h')
if not head then return {} end
local latest, first = unpack_struct('>I6', head), first_version(head)
local bound, limit = tonumber(ARGV[2]), tonumber(ARGV[3])
local from, to, step
if ARGV[1] == 'up' then
  from = math.max(first, bound + 1)
  to, step = math.min(latest, from + limit - 1), 1
else
  from = math.min(latest, bound - 1)
  to, step = math.max(first, from - limit + 1), -1
end
local out = {head, from}
for version = from, to, step do
  out[#out + 1] = without_value(call('HGET', KEYS[1], format('%d', version)))
end
return out
`;

/**
 * A page of a partition's keys with their latest entries. KEYS[1]: the index. ARGV: lower and upper
 * bound as ZRANGEBYLEX takes them, the limit, what the names of hashes begin with. Answers one string:
 * for each the key, a zero byte, the head, the entry.
 */
const LIST = `${SHARED_LUA}
local keys = call('ZRANGEBYLEX', KEYS[1], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
local prefix, out, n = ARGV[4], {}, 0
for i = 1, #keys do
  local key = keys[i]
  local name = prefix .. key
  local head = call('HGET', name, 'h')
  local entry = call('HGET', name, sub(head, 20 + byte(head, 13)))
  local flags, size = unpack_struct('>BI4', entry, 7)
  if flags % 2 == 0 then entry = sub(entry, 1, -1 - size) end
  out[n + 1], out[n + 2], out[n + 3], out[n + 4] = key, '\\0', head, entry
  n = n + 4
end
return table.concat(out)
`;

/**
 * Removes a key's oldest versions. KEYS[1]: its hash. ARGV: incarnation, first version to keep,
 * limit. Answers how many it removed.
 */
const TRIM = `${SHARED_LUA}
local head = call('HGET', KEYS[1], 'h')
if not head then return 0 end
local latest, time, g, first = unpack_struct('>I6I6Bc0I6', head)
if g ~= ARGV[1] then return 0 end
local last = math.min(latest, tonumber(ARGV[2]), first + tonumber(ARGV[3])) - 1
if last < first then return 0 end
local fields = {}
for version = first, last do
  local field = format('%d', version)
  fields[#fields + 1] = field
  fields[#fields + 1] = 'v' .. field
end
local moved = pack('>I6I6Bc0I6', latest, time, #g, g, last + 1) .. latest_field(head)
call('HSET', KEYS[1], 'h', moved)
call('HDEL', KEYS[1], unpack(fields))
return last - first + 1
`;

/** Error code where the feed does not hold what follows a position. */
export const FEED_EXPIRED = "VSSEXPIRED";

/** Changes in one answer; the entry that passes it is still answered whole. */
const FEED_CHANGES_MAX = 1000;

/**
 * What tells a stream entry from another one of the same number: a Redis that has lost its latest
 * writes, or all, gives their numbers to others. The ends of an entry hold its time and what its
 * changes are about, and cost as little to hash in a long one.
 */
export const MARK_DIGITS = 8;
const MARK_ENDS = 64;
const MARK_LUA = `${SHARED_LUA}
local function mark_of(content)
  local ends = sub(content, 1, ${MARK_ENDS}) .. sub(content, -${MARK_ENDS})
  return sub(redis.sha1hex(ends), 1, ${MARK_DIGITS})
end
`;

/** The mark of a stream entry, as the scripts make it. */
export function markOf(content: Buffer): string {
  const hash = createHash("sha1");
  hash.update(content.subarray(0, MARK_ENDS)).update(content.subarray(-MARK_ENDS));
  return hash.digest("hex").slice(0, MARK_DIGITS);
}

/** Answers the feed's last number, and the mark of its entry where it is not trimmed. KEYS: feed, meta. */
const FIND_END = `${MARK_LUA}
local entry = call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
return {call('HGET', KEYS[2], 's') or '0', entry and mark_of(entry[2][2]) or ''}
`;

/**
 * Reads the feed after a position. KEYS: feed, meta. ARGV: the position; the mark of the entry that
 * holds it, empty where it is not known. Answers whether there is more, that mark, then for each
 * stream entry its id and its content: the time of the commit in 6 bytes, the number of changes in 4,
 * the changes. The id is the number of the last change.
 */
const READ_FEED = `${MARK_LUA}
local position, mark = tonumber(ARGV[1]), ARGV[2]
local last, trimmed = unpack(call('HMGET', KEYS[2], 's', 't'))
last, trimmed = tonumber(last or 0), tonumber(trimmed or 0)
local function expired()
  return redis.error_reply('${FEED_EXPIRED} the feed does not reach back to this position')
end
if position > last or position < trimmed then return expired() end
local held = call('XRANGE', KEYS[1], ARGV[1] .. '-0', '+', 'COUNT', 1)[1]
if held then
  local content = held[2][2]
  local first = tonumber(string.match(held[1], '^%d+')) - unpack_struct('>I4', content, 7) + 1
  if first <= position then
    local found = mark_of(content)
    if mark ~= '' and mark ~= found then return expired() end
    mark = found
  end
end
if position == last then return {0, mark} end
local entries = call('XRANGE', KEYS[1], '(' .. ARGV[1] .. '-0', '+', 'COUNT', 200)
local out, count = {0, mark}, 0
for i = 1, #entries do
  if count >= ${FEED_CHANGES_MAX} then break end
  local content = entries[i][2][2]
  count = count + unpack_struct('>I4', content, 7)
  out[#out + 1] = entries[i][1]
  out[#out + 1] = content
end
if count == 0 then return expired() end
if string.match(out[#out - 1], '^%d+') ~= string.format('%.0f', last) then out[1] = 1 end
return out
`;

/**
 * Trims the feed by time. KEYS: feed, meta. ARGV: the time before which commits are forgotten, how
 * many stream entries to look at. Answers 1 while there is more to trim.
 */
const TRIM_FEED = `${SHARED_LUA}
local entries = call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[2])
local cutoff, count = tonumber(ARGV[1]), 0
for i = 1, #entries do
  if unpack_struct('>I6', entries[i][2][2]) >= cutoff then break end
  count = i
end
if count == 0 then return 0 end
local last = string.match(entries[count][1], '^%d+')
call('XTRIM', KEYS[1], 'MINID', last .. '-1')
call('HSET', KEYS[2], 't', last)
return count == tonumber(ARGV[2]) and 1 or 0
`;

export const READ_LATEST_SCRIPT: Script = toScript(READ_LATEST);
export const READ_SCRIPT: Script = toScript(READ);
export const HISTORY_SCRIPT: Script = toScript(HISTORY);
export const LIST_SCRIPT: Script = toScript(LIST);
export const TRIM_SCRIPT: Script = toScript(TRIM);
export const FIND_END_SCRIPT: Script = toScript(FIND_END);
export const READ_FEED_SCRIPT: Script = toScript(READ_FEED);
export const TRIM_FEED_SCRIPT: Script = toScript(TRIM_FEED);
