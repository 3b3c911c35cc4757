import { COMMIT_ID_TTL_MS, REQUEST_ID_TTL_MS } from "../../limits.ts";
import { SHARED_LUA, toScript, type Script } from "./scripts.ts";

/** Replies up to this size are kept with the commit's number, to be answered again. */
const KEPT_REPLY_BYTES_MAX = 1024 * 1024;

/** Error code where the same commit was made before, but its reply was too large to be kept. */
export const REPLY_NOT_KEPT = "VSSREPLYNOTKEPT";
/** Error code of a commit that arrives after a later one of the same writer. */
export const COMMIT_SUPERSEDED = "VSSSUPERSEDED";

/**
 * Commits a batch of transactions to one partition. It reads what the decisions need, decides all
 * transactions in order, keeping what is to be written in tables, and writes at the end: Redis does
 * not undo what a script did before an error, so nothing that can fail comes after the first write;
 * and several puts to one key become one HSET.
 *
 * KEYS: meta, index, feed, the writer's last commit, request ids, the keys' hashes. ARGV[1]: the plan
 * (`encodePlan` writes it), ARGV[2…]: large values. A writer sends one commit at a time, under rising
 * numbers: the same number again is answered as it was the first time, and a lower one, which can
 * only be a copy that was held up on its way, is refused.
 */
const LOAD = `
local plan, pos, next_large = ARGV[1], 1, 2
local now, number, request_count, transaction_count
now, number, request_count, transaction_count, pos = unpack_struct('>I6I6HH', plan, pos)

local previous = call('GET', KEYS[4])
if previous then
  local last = unpack_struct('>I6', previous)
  if last > number then return redis.error_reply('${COMMIT_SUPERSEDED} a later commit came first') end
  if last == number then
    if #previous == 6 then return redis.error_reply('${REPLY_NOT_KEPT} the reply was too large') end
    return cmsgpack.unpack(sub(previous, 7))
  end
end
local sequence = tonumber(call('HGET', KEYS[1], 's') or 0)

-- By index into KEYS: latest version (nil: no such key), its time, first version, incarnation.
local version, time, first, incarnation = {}, {}, {}, {}
-- Whether the hash was there before, and must go; the arguments of its HSET; the latest entry and
-- its large value where this batch wrote it.
local existed, gone, fields, entry, large = {}, {}, {}, {}, {}
local known_requests, new_requests = {}, {}
for k = 5, 4 + request_count do known_requests[k] = call('GET', KEYS[k]) end
for k = 5 + request_count, #KEYS do
  local head = call('HGET', KEYS[k], 'h')
  if head then
    version[k], time[k], first[k] = unpack_struct('>I6I6I6', head)
    incarnation[k] = sub(head, 19)
    existed[k] = true
  end
end

local out, apart, events, touched, stamps = {}, {}, {}, {}, {}
local name_length = #KEYS[1] + 1
`;

const DECIDE = `
local function append_latest(k)
  if not version[k] then
    out[#out + 1] = ABSENT
    return
  end
  local found, value = entry[k], large[k]
  if not found then
    found = call('HGET', KEYS[k], version[k])
    if byte(found, 7) % 2 == 1 then value = call('HGET', KEYS[k], 'v' .. version[k]) end
  end
  if value then apart[#apart + 1] = value end
  append_item(out, version[k], pack('>I6I6I6', version[k], time[k], first[k]) .. incarnation[k], found)
end

local function append_unmet(condition, put, k)
  out[#out + 1] = pack('>HH', condition, put)
  if version[k] then
    out[#out + 1] = pack('>BI6Bc0', 1, version[k], #incarnation[k], incarnation[k])
  else
    out[#out + 1] = '\\0'
  end
end

local function matches_any(k, count)
  local found = false
  for _ = 1, count do
    local g, v
    g, v, pos = unpack_struct('>Bc0I6', plan, pos)
    if version[k] == v and incarnation[k] == g then found = true end
  end
  return found
end

-- Kinds: 0 absent, 1 present, 2 version, 3 entry, 4 not-entry.
local function condition_holds(kind, k)
  if kind == 0 then return version[k] == nil end
  if kind == 1 then return version[k] ~= nil end
  local operand
  operand, pos = unpack_struct('>I6', plan, pos)
  if kind == 2 then return version[k] == operand end
  return matches_any(k, operand) == (kind == 3)
end

local function follows(k, imported)
  return not version[k] or (incarnation[k] == imported[1] and version[k] + 1 == imported[2])
end
`;

const APPLY = `
local function add_event(kind, k, at)
  local g, key = incarnation[k], sub(KEYS[k], name_length + 1)
  events[#events + 1] = pack('>BI6I6BHc0c0', kind, version[k], at, #g, #key, g, key)
end

local function apply_put(k, blob, value, imported, fresh)
  if imported then
    if not version[k] then first[k] = imported[2] end
    incarnation[k], version[k], time[k] = imported[1], imported[2], imported[3]
  elseif version[k] then
    version[k] = version[k] + 1
    if now > time[k] then time[k] = now end
  else
    version[k], first[k], time[k], incarnation[k] = 1, 1, now, fresh
  end
  local at = time[k]
  stamps[at] = stamps[at] or pack('>I6', at)
  entry[k], large[k] = stamps[at] .. blob, value
  local set = fields[k]
  if not set then
    set = {KEYS[k], 'h', ''}
    fields[k] = set
    touched[#touched + 1] = k
  end
  local n = #set
  set[n + 1], set[n + 2] = version[k], entry[k]
  if value then set[n + 3], set[n + 4] = 'v' .. version[k], value end
  add_event(0, k, at)
  out[#out + 1] = pack('>I6I6Bc0', version[k], at, #incarnation[k], incarnation[k])
end

local function apply_delete(k)
  if not version[k] then
    out[#out + 1] = pack('>I6', 0)
    return
  end
  add_event(1, k, math.max(now, time[k]))
  out[#out + 1] = pack('>I6', version[k] - first[k] + 1)
  if not fields[k] then touched[#touched + 1] = k end
  fields[k] = {KEYS[k], 'h', ''}
  gone[k] = existed[k]
  version[k], entry[k], large[k] = nil, nil, nil
end
`;

/** A remembered request is its time in 6 bytes, the fingerprint in 32, and the outcome. */
const RUN = `
local put_key, put_blob, put_value, put_import = {}, {}, {}, {}

local function read_put(i)
  local flags, length
  put_key[i], flags, length, pos = unpack_struct('>HBI4', plan, pos)
  put_blob[i] = sub(plan, pos, pos + length - 1)
  pos = pos + length
  put_value[i], put_import[i] = nil, nil
  if flags % 2 == 1 then
    put_value[i] = ARGV[next_large]
    next_large = next_large + 1
  end
  if flags >= 2 then
    local g, v, t
    g, v, t, pos = unpack_struct('>Bc0I6I6', plan, pos)
    put_import[i] = {g, v, t}
  end
end

local function read_indexes(count)
  local list = {}
  for i = 1, count do list[i], pos = unpack_struct('>H', plan, pos) end
  return list
end

local function run_transaction()
  local conditions, puts, deletes, reads, request, fresh
  conditions, puts, deletes, reads, request, fresh, pos = unpack_struct('>BBBBHBc0', plan, pos)
  local fingerprint
  if request > 0 then fingerprint, pos = unpack_struct('c32', plan, pos) end
  local start, unmet = #out + 1, 0
  out[start] = 'C'
  for i = 1, conditions do
    local kind, k
    kind, k, pos = unpack_struct('>BH', plan, pos)
    if not condition_holds(kind, k) then
      append_unmet(i - 1, 0, k)
      unmet = unmet + 1
    end
  end
  for i = 1, puts do
    read_put(i)
    if put_import[i] and not follows(put_key[i], put_import[i]) then
      append_unmet(65535, i - 1, put_key[i])
      unmet = unmet + 1
    end
  end
  local delete_keys = deletes > 0 and read_indexes(deletes)
  local read_keys = reads > 0 and read_indexes(reads)

  local known = request > 0 and known_requests[request]
  if known and unpack_struct('>I6', known) + ${REQUEST_ID_TTL_MS} > now then
    for i = #out, start + 1, -1 do out[i] = nil end
    out[start] = 'U'
    if sub(known, 7, 38) ~= fingerprint then return end
    out[start] = 'R'
    for i = 1, reads do append_latest(read_keys[i]) end
    out[#out + 1] = sub(known, 39)
    return
  end
  if unmet > 0 then
    out[start] = 'X' .. pack('>H', unmet)
    return
  end
  for i = 1, reads do append_latest(read_keys[i]) end
  local results = #out + 1
  for i = 1, puts do apply_put(put_key[i], put_blob[i], put_value[i], put_import[i], fresh) end
  for i = 1, deletes do apply_delete(delete_keys[i]) end
  if request > 0 then
    known_requests[request] = pack('>I6', now) .. fingerprint .. table.concat(out, '', results)
    new_requests[#new_requests + 1] = request
  end
end

for _ = 1, transaction_count do run_transaction() end
`;

/** XADD comes first: of all writes it alone could be refused for what is stored. */
const WRITE = `
local UNPACK_MAX = 4000
local function call_with(command, name, list, from)
  for i = from, #list, UNPACK_MAX do
    call(command, name, unpack(list, i, math.min(#list, i + UNPACK_MAX - 1)))
  end
end

if #events > 0 then
  sequence = sequence + #events
  call('XADD', KEYS[3], string.format('%.0f-0', sequence), 'e',
    pack('>I6I4', now, #events) .. table.concat(events))
  call('HSET', KEYS[1], 's', sequence)
end
local added, removed = {}, {}
for i = 1, #touched do
  local k = touched[i]
  if gone[k] then call('UNLINK', KEYS[k]) end
  if version[k] then
    local set = fields[k]
    set[3] = pack('>I6I6I6', version[k], time[k], first[k]) .. incarnation[k]
    call_with('HSET', KEYS[k], set, 2)
    if not existed[k] then
      added[#added + 1] = 0
      added[#added + 1] = sub(KEYS[k], name_length + 1)
    end
  elseif existed[k] then
    removed[#removed + 1] = sub(KEYS[k], name_length + 1)
  end
end
call_with('ZADD', KEYS[2], added, 1)
call_with('ZREM', KEYS[2], removed, 1)
for i = 1, #new_requests do
  local k = new_requests[i]
  call('SET', KEYS[k], known_requests[k], 'PX', ${REQUEST_ID_TTL_MS})
end

local reply = {table.concat(out), unpack(apart)}
local kept = cmsgpack.pack(reply)
if #kept > ${KEPT_REPLY_BYTES_MAX} then kept = '' end
call('SET', KEYS[4], pack('>I6', number) .. kept, 'PX', ${COMMIT_ID_TTL_MS})
return reply
`;

export const COMMIT_SCRIPT: Script = toScript(SHARED_LUA + LOAD + DECIDE + APPLY + RUN + WRITE);
