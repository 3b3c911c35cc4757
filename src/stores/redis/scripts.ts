import { createHash } from "node:crypto";

/** A Lua script, and the hash by which EVALSHA names it. */
export interface Script {
  readonly source: string;
  readonly sha: string;
}

/**
 * What the scripts share. All numbers are big-endian and binary: Lua writes a number of 15 digits as
 * `1.7637696e+12`, and text would be parsed again at every step.
 *
 * A head is `latest version, its time, first kept version` in 6 bytes each, then the incarnation.
 * An item, the answer to one read, is its length in 4 bytes, then the version in 6, the length of the
 * head in 1, the head, the entry. Large values follow apart, in the reply's further elements.
 */
export const SHARED_LUA = `
local call, pack, unpack_struct = redis.call, struct.pack, struct.unpack
local sub, byte = string.sub, string.byte
local ABSENT, TRIMMED = '\\0\\0\\0\\0', '\\255\\255\\255\\255'

local function without_value(entry)
  if byte(entry, 7) % 2 == 1 then return entry end
  return sub(entry, 1, #entry - unpack_struct('>I4', entry, 8))
end

local function append_item(out, version, head, entry)
  local n = #out
  out[n + 1] = pack('>I4I6B', 7 + #head + #entry, version, #head)
  out[n + 2] = head
  out[n + 3] = entry
end
`;

export function toScript(source: string): Script {
  return { source, sha: createHash("sha1").update(source).digest("hex") };
}

/** Bytes of large values in one answer; the rest is asked for again. */
const APART_BYTES_MAX = 8 * 1024 * 1024;

/**
 * Reads entries. KEYS: the keys' hashes. ARGV[1]: for each a letter: `l` latest, `v` by version, `a`
 * as of a time, in upper case with its value. ARGV[2…]: the version or time of each that has one.
 */
const READ = `${SHARED_LUA}
local LATER = '\\255\\255\\255\\254'
local kinds, arg = ARGV[1], 1
local out, apart, apart_bytes = {}, {}, 0

local function find_as_of(key, first, latest, time)
  local low, high = first, latest + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    if unpack_struct('>I6', call('HGET', key, middle)) <= time then low = middle + 1
    else high = middle end
  end
  return low - 1
end

local function read(i, key)
  local kind = byte(kinds, i)
  local wants_value = kind < 97
  if wants_value then kind = kind + 32 end
  local wanted
  if kind ~= 108 then
    arg = arg + 1
    wanted = tonumber(ARGV[arg])
  end
  local head = call('HGET', key, 'h')
  if not head then return ABSENT end
  local version = unpack_struct('>I6', head)
  if kind == 118 then
    if wanted > version or wanted < 1 then return ABSENT end
    version = wanted
  end
  if kind == 97 then
    local first = unpack_struct('>I6', head, 13)
    version = find_as_of(key, first, version, wanted)
    if version < first then return first > 1 and TRIMMED or ABSENT end
  end
  local entry = call('HGET', key, version)
  if not entry then return TRIMMED end
  if not wants_value then
    entry = without_value(entry)
  elseif byte(entry, 7) % 2 == 1 then
    local size = unpack_struct('>I4', entry, 8)
    if apart_bytes > 0 and apart_bytes + size > ${APART_BYTES_MAX} then return LATER end
    apart_bytes = apart_bytes + size
    apart[#apart + 1] = call('HGET', key, 'v' .. version)
  end
  append_item(out, version, head, entry)
end

for i = 1, #KEYS do
  local short = read(i, KEYS[i])
  if short then out[#out + 1] = short end
end
return {table.concat(out), unpack(apart)}
`;

/**
 * A page of one key's history, as items without values. KEYS[1]: the key's hash. ARGV: `up` or
 * `down`, the version that bounds it (exclusive), the limit.
 */
const HISTORY = `${SHARED_LUA}
local head = call('HGET', KEYS[1], 'h')
if not head then return '' end
local latest, first = unpack_struct('>I6', head), unpack_struct('>I6', head, 13)
local bound, limit = tonumber(ARGV[2]), tonumber(ARGV[3])
local from, to, step
if ARGV[1] == 'up' then
  from = math.max(first, bound + 1)
  to, step = math.min(latest, from + limit - 1), 1
else
  from = math.min(latest, bound - 1)
  to, step = math.max(first, from - limit + 1), -1
end
local out = {}
for version = from, to, step do
  append_item(out, version, head, without_value(call('HGET', KEYS[1], version)))
end
return table.concat(out)
`;

/**
 * A page of a partition's keys with their latest entries. KEYS[1]: the index. ARGV: lower and upper
 * bound as ZRANGEBYLEX takes them, the limit, what the names of hashes begin with.
 */
const LIST = `${SHARED_LUA}
local keys = call('ZRANGEBYLEX', KEYS[1], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
local out = {}
for i = 1, #keys do
  local name = ARGV[4] .. keys[i]
  local head = call('HGET', name, 'h')
  local version = unpack_struct('>I6', head)
  out[#out + 1] = pack('>I2', #keys[i])
  out[#out + 1] = keys[i]
  append_item(out, version, head, without_value(call('HGET', name, version)))
end
return table.concat(out)
`;

/**
 * Removes a key's oldest versions. KEYS[1]: its hash. ARGV: incarnation, first version to keep,
 * limit. Answers how many it removed.
 */
const TRIM = `${SHARED_LUA}
local head = call('HGET', KEYS[1], 'h')
if not head or sub(head, 19) ~= ARGV[1] then return 0 end
local latest, time, first = unpack_struct('>I6I6I6', head)
local last = math.min(latest, tonumber(ARGV[2]), first + tonumber(ARGV[3])) - 1
if last < first then return 0 end
local fields = {}
for version = first, last do
  fields[#fields + 1] = version
  fields[#fields + 1] = 'v' .. version
end
call('HSET', KEYS[1], 'h', pack('>I6I6I6', latest, time, last + 1) .. ARGV[1])
call('HDEL', KEYS[1], unpack(fields))
return last - first + 1
`;

/** Error code where the feed does not hold what follows a position. */
export const FEED_EXPIRED = "VSSEXPIRED";

/** Changes in one answer; the entry that passes it is still answered whole. */
const FEED_CHANGES_MAX = 1000;

/**
 * Reads the feed after a position. KEYS: feed, meta. ARGV: the position. Answers whether there is
 * more, then for each stream entry its id and its content: the time of the commit in 6 bytes, the
 * number of changes in 4, the changes. The id is the number of the last change.
 */
const READ_FEED = `${SHARED_LUA}
local position = tonumber(ARGV[1])
local last, trimmed = unpack(call('HMGET', KEYS[2], 's', 't'))
last, trimmed = tonumber(last or 0), tonumber(trimmed or 0)
if position > last or position < trimmed then
  return redis.error_reply('${FEED_EXPIRED} the feed does not reach back to this position')
end
if position == last then return {0} end
local entries = call('XRANGE', KEYS[1], '(' .. ARGV[1] .. '-0', '+', 'COUNT', 200)
local out, count = {0}, 0
for i = 1, #entries do
  if count >= ${FEED_CHANGES_MAX} then break end
  local content = entries[i][2][2]
  count = count + unpack_struct('>I4', content, 7)
  out[#out + 1] = entries[i][1]
  out[#out + 1] = content
end
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

export const READ_SCRIPT: Script = toScript(READ);
export const HISTORY_SCRIPT: Script = toScript(HISTORY);
export const LIST_SCRIPT: Script = toScript(LIST);
export const TRIM_SCRIPT: Script = toScript(TRIM);
export const READ_FEED_SCRIPT: Script = toScript(READ_FEED);
export const TRIM_FEED_SCRIPT: Script = toScript(TRIM_FEED);
