-- PUTs numbered values, each once: a key for each number, or all to one key. Says FILLED when the
-- last has been sent, and reads from then on, until it is stopped. A value can be told from its
-- number alone; growth.ts makes the same.
local last, size, number
local prefix, text, host
local isOneKey, isAsked

function init(args)
  number, last, prefix, size = tonumber(args[1]), tonumber(args[2]), args[3], tonumber(args[4])
  isOneKey = args[5] == "one-key"
  local file = assert(io.open(args[6], "rb"))
  text = file:read("*a")
  file:close()
  host = wrk.headers["Host"] or wrk.host
end

function request()
  -- wrk asks for one request before it starts, only to look at it.
  if not isAsked then
    isAsked = true
    return "GET / HTTP/1.1\r\n\r\n"
  end
  if number > last then
    if number == last + 1 then
      io.write("FILLED\n")
      io.flush()
      number = number + 1
    end
    return string.format("GET /-/livez HTTP/1.1\r\nHost: %s\r\n\r\n", host)
  end
  local name = isOneKey and prefix or string.format("%s%07d", prefix, number)
  local head = string.format("%s#%d ", name, number)
  local start = (number * 7919) % (#text - size)
  local body = head .. text:sub(start + 1, start + size - #head)
  number = number + 1
  return string.format(
    "PUT /%s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", name, host, #body, body)
end
