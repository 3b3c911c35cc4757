-- Conditional PUTs: each names the version that the answer before it returned for its key. A key is
-- taken from a ring when its request is sent and put back when its answer has come, so no two
-- requests under way are of the same key, and every condition is met.
local ring, versions, head, tail = {}, {}, 1, 1
local host, prefix, body, canned

function init(args)
  prefix, body = args[1], string.rep("c", tonumber(args[2]))
  -- The bare server answers every request alike: its answers are of no key.
  canned = args[4] == "canned"
  host = wrk.headers["Host"] or wrk.host
  for key = 1, tonumber(args[3]) do
    ring[tail] = key
    tail = tail + 1
    versions[key] = 0
  end
end

function request()
  local key = ring[head]
  ring[head] = nil
  head = head + 1
  if canned then
    ring[tail] = key
    tail = tail + 1
  end
  local version = versions[key]
  return string.format(
    "PUT /%s%d?cas=%d HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s",
    prefix, key, version, host, #body, body)
end

function response(status, headers, text)
  local key, version = text:match('"key":"[^"]-(%d+)","version":(%d+)')
  if status ~= 200 or not key and not canned then
    error("a conditional PUT was answered " .. status .. ": " .. text)
  end
  if canned then return end
  key = tonumber(key)
  versions[key] = tonumber(version)
  ring[tail] = key
  tail = tail + 1
end
