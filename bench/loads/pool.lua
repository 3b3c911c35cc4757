-- Sends requests of a file, picked at random. The file holds each as its length in decimal, a line
-- feed, and that many bytes, so that a request is never built while the clock runs.
local pool = {}

function init(args)
  math.randomseed(tonumber(args[2]))
  local file = assert(io.open(args[1], "rb"))
  while true do
    local length = file:read("*n")
    if not length then break end
    file:read(1)
    pool[#pool + 1] = file:read(length)
  end
  file:close()
end

local random = math.random

function request()
  return pool[random(#pool)]
end
