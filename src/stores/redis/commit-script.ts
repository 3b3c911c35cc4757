import { COMMIT_ID_TTL_MS, REQUEST_ID_TTL_MS } from "../../limits.ts";
import { answerSentBefore, KEPT_REPLY_BYTES_MAX } from "./sent-before.ts";
import { SHARED_LUA, toScript, type Script } from "./scripts.ts";

/**
 * Commits a batch of transactions to one partition. It reads what the decisions need, decides all
 * transactions in order, keeping what is to be written in tables, and writes at the end: Redis does
 * not undo what a script did before an error, so nothing that can fail comes after the first write;
 * and several puts to one key become one HSET.
 *
 * KEYS: meta, index, feed, the writer's last commit, request ids, the keys' hashes. ARGV[1]: the plan
 * (`encodeCommit` writes it), ARGV[2…]: large values.
 */
const LOAD = `
local plan, pos, next_large = ARGV[1], 1, 2
local now, number, request_count, transaction_count
now, number, request_count, transaction_count, pos = unpack_struct('>I6I6HH', plan, pos)

${answerSentBefore("cmsgpack.unpack(sub(previous, 7))")}
local sequence = tonumber(call('HGET', KEYS[1], 's') or 0)

-- By index into KEYS: latest version (nil: no such key), its time, incarnation, first version;
-- whether the hash was there before, and must go; what HSET is to set, the head first; what a head
-- begins with, where this batch changed it.
local version, time, incarnation, first = {}, {}, {}, {}
local existed, gone, fields, state = {}, {}, {}, {}
local known_requests, new_requests = {}, {}
for k = 5, 4 + request_count do known_requests[k] = call('GET', KEYS[k]) end
for k = 5 + request_count, #KEYS do
  local head = call('HGET', KEYS[k], 'h')
  if head then
    version[k], time[k], incarnation[k], first[k] = unpack_struct('>I6I6Bc0I6', head)
    existed[k] = true
  end
end

-- What is answered, read and told to followers, each with its length: Lua searches for a table's.
local out, out_count, reads, events, event_count = {}, 0, {}, {}, 0
local touched, touched_count = {}, 0
local name_start = #KEYS[1] + 2

local function append(text)
  out_count = out_count + 1
  out[out_count] = text
end
`;

const DECIDE = `
-- The latest version as text, its entry, and its value where that is large, as this batch wrote them.
local function last_written(k)
  local set = fields[k]
  local n = set and #set or 0
  if n <= 2 then return nil end
  if byte(set[n - 1], 1) ~= 118 then return set[n - 1], set[n] end
  return set[n - 3], set[n - 2], set[n]
end

local function append_latest(k)
  local n = #reads
  if not version[k] then
    reads[n + 1] = false
    return
  end
  local text, entry, value = last_written(k)
  if not text then
    text = format('%d', version[k])
    entry = call('HGET', KEYS[k], text)
    if is_large(entry) then value = call('HGET', KEYS[k], 'v' .. text) end
  end
  local g = incarnation[k]
  reads[n + 1] = pack('>I6I6Bc0I6', version[k], time[k], #g, g, first[k]) .. text
  reads[n + 2], reads[n + 3] = entry, value
end

local function append_unmet(condition, put, k)
  local v, g = version[k], incarnation[k]
  local place = pack('>HH', condition, put)
  append(v and place .. pack('>BI6Bc0', 1, v, #g, g) or place .. '\\0')
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

/**
 * A change in the feed is its kind in a byte, the key behind its length in two, and what a head begins
 * with. Of a put, the plan holds the former as one piece, and the entry with the time of the commit.
 */
const APPLY = `
local function append_event(kind_and_key, about)
  local n = 2 * event_count
  event_count = event_count + 1
  events[n + 1], events[n + 2] = kind_and_key, about
end

local function touch(k, set)
  if not fields[k] then
    touched_count = touched_count + 1
    touched[touched_count] = k
  end
  fields[k] = set
end

local function apply_put(k, event, entry, value, imported, fresh)
  local v, at, g = version[k], now, incarnation[k]
  if imported then
    g, at = imported[1], imported[3]
    if not v then first[k] = imported[2] end
    v, incarnation[k] = imported[2], g
  elseif v then
    v = v + 1
    if time[k] > at then at = time[k] end
  else
    v, g, first[k], incarnation[k] = 1, fresh, 1, fresh
  end
  if at ~= now then entry = pack('>I6', at) .. sub(entry, 7) end
  local text, about, set = format('%d', v), pack('>I6I6Bc0', v, at, #g, g), fields[k]
  version[k], time[k], state[k] = v, at, about
  if set then
    local n = #set
    set[n + 1], set[n + 2] = text, entry
  else
    set = {'h', '', text, entry}
    touch(k, set)
  end
  if value then
    local n = #set
    set[n + 1], set[n + 2] = 'v' .. text, value
  end
  append_event(event, about)
  append(about)
end

local function apply_delete(k)
  local v, g = version[k], incarnation[k]
  if not v then
    append(pack('>I6', 0))
    return
  end
  local name = sub(KEYS[k], name_start)
  append_event(
    pack('>BHc0', 1, #name, name),
    pack('>I6I6Bc0', v, math.max(now, time[k]), #g, g)
  )
  append(pack('>I6', v - first[k] + 1))
  touch(k, {'h', ''})
  gone[k], version[k], incarnation[k] = existed[k], nil, nil
end
`;

/** A remembered request is its time in 6 bytes, the fingerprint in 32, and the outcome. */
const RUN = `
-- Answers the arguments of apply_put but the last.
local function read_put()
  local k, flags, length, _, key_length, after = unpack_struct('>HBI4BH', plan, pos)
  local start = after + key_length
  pos = start + length
  local event, entry = sub(plan, after - 3, start - 1), sub(plan, start, pos - 1)
  if flags == 0 then return k, event, entry end
  local value, imported
  if flags % 2 == 1 then
    value = ARGV[next_large]
    next_large = next_large + 1
  end
  if flags >= 2 then
    local g, v, t
    g, v, t, pos = unpack_struct('>Bc0I6I6', plan, pos)
    imported = {g, v, t}
  end
  return k, event, entry, value, imported
end

local function read_indexes(count)
  local list = {}
  for i = 1, count do list[i], pos = unpack_struct('>H', plan, pos) end
  return list
end

local function check_conditions(count)
  local unmet = 0
  for i = 1, count do
    local kind, k
    kind, k, pos = unpack_struct('>BH', plan, pos)
    if not condition_holds(kind, k) then
      append_unmet(i - 1, 0, k)
      unmet = unmet + 1
    end
  end
  return unmet
end

local function read_puts(count)
  local list, unmet = {}, 0
  for i = 1, count do
    local put = {read_put()}
    list[i] = put
    if put[5] and not follows(put[1], put[5]) then
      append_unmet(65535, i - 1, put[1])
      unmet = unmet + 1
    end
  end
  return list, unmet
end

local function forget_from(start)
  for i = start, out_count do out[i] = nil end
  out_count = start - 1
end

-- Whether a request was remembered, and then answered.
local function replay(request, fingerprint, start, get_keys)
  local known = known_requests[request]
  if not known or unpack_struct('>I6', known) + ${REQUEST_ID_TTL_MS} <= now then return false end
  forget_from(start)
  if sub(known, 7, 38) ~= fingerprint then
    append('U')
    return true
  end
  append('R')
  append(sub(known, 39))
  for i = 1, #get_keys do append_latest(get_keys[i]) end
  return true
end

local function run_transaction()
  local conditions, put_count, delete_count, get_count, request, length
  conditions, put_count, delete_count, get_count, request, length, pos =
    unpack_struct('>HHHHHB', plan, pos)
  local fresh = sub(plan, pos, pos + length - 1)
  pos = pos + length
  append('C')
  if put_count == 1 and conditions + delete_count + get_count + request == 0 then
    local k, event, entry, value, imported = read_put()
    if not imported then return apply_put(k, event, entry, value, nil, fresh) end
    if follows(k, imported) then return apply_put(k, event, entry, value, imported) end
    out[out_count] = pack('>c0H', 'X', 1)
    return append_unmet(65535, 0, k)
  end
  local start, fingerprint = out_count, nil
  if request > 0 then fingerprint, pos = unpack_struct('c32', plan, pos) end
  local unmet = check_conditions(conditions)
  local puts, unmet_imports = read_puts(put_count)
  local delete_keys, get_keys = read_indexes(delete_count), read_indexes(get_count)
  if request > 0 and replay(request, fingerprint, start, get_keys) then return end
  if unmet + unmet_imports > 0 then
    out[start] = pack('>c0H', 'X', unmet + unmet_imports)
    return
  end
  for i = 1, get_count do append_latest(get_keys[i]) end
  for i = 1, put_count do
    local put = puts[i]
    apply_put(put[1], put[2], put[3], put[4], put[5], fresh)
  end
  for i = 1, delete_count do apply_delete(delete_keys[i]) end
  if request > 0 then
    known_requests[request] = pack('>I6', now) .. fingerprint .. table.concat(out, '', start + 1)
    new_requests[#new_requests + 1] = request
  end
end

for _ = 1, transaction_count do run_transaction() end
`;

/** XADD comes first: of all writes it alone could be refused for what is stored. */
const WRITE = `
local UNPACK_MAX = 4000
local function call_with(command, name, list)
  for i = 1, #list, UNPACK_MAX do
    call(command, name, unpack(list, i, math.min(#list, i + UNPACK_MAX - 1)))
  end
end

if event_count > 0 then
  local last = format('%d', sequence + event_count)
  local content = pack('>I6I4', now, event_count) .. table.concat(events)
  call('XADD', KEYS[3], last .. '-0', 'e', content)
  call('HSET', KEYS[1], 's', last)
end
local added, removed, FIRST = {}, {}, pack('>I6', 1)
for i = 1, touched_count do
  local k = touched[i]
  if gone[k] then call('UNLINK', KEYS[k]) end
  if version[k] then
    local text = last_written(k)
    fields[k][2] = state[k] .. (first[k] == 1 and FIRST or pack('>I6', first[k])) .. text
    call_with('HSET', KEYS[k], fields[k])
    if not existed[k] then
      added[#added + 1] = '0'
      added[#added + 1] = sub(KEYS[k], name_start)
    end
  elseif existed[k] then
    removed[#removed + 1] = sub(KEYS[k], name_start)
  end
end
call_with('ZADD', KEYS[2], added)
call_with('ZREM', KEYS[2], removed)
for i = 1, #new_requests do
  local k = new_requests[i]
  call('SET', KEYS[k], known_requests[k], 'PX', '${REQUEST_ID_TTL_MS}')
end

table.insert(reads, 1, table.concat(out))
local kept = cmsgpack.pack(reads)
if #kept > ${KEPT_REPLY_BYTES_MAX} then kept = '' end
call('SET', KEYS[4], pack('>I6', number) .. kept, 'PX', '${COMMIT_ID_TTL_MS}')
return reads
`;

export const COMMIT_SCRIPT: Script = toScript(SHARED_LUA + LOAD + DECIDE + APPLY + RUN + WRITE);
