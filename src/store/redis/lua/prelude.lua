-- What scripts begin with: the server's time, and how a session is read.
--
-- Each run of a script makes its functions and tables anew, and Redis does nothing else meanwhile: so there are few of them,
-- and what is needed rarely is made where it is needed.

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The hash at a key: names and texts in turn, and where the text of each name stands, so that stored[at.name] is its text,
-- or nil. Nothing where there is no hash. Any other refusal than of the type (no permission, say) is an error: a store that
-- fails is not a session that is gone.
local function read(key)
  local stored = redis.pcall('HGETALL', key)
  if stored.err and not string.find(stored.err, '^WRONGTYPE') then error(stored.err) end
  if stored.err or #stored == 0 then return nil end
  local at = {}
  for i = 1, #stored, 2 do at[stored[i]] = i + 1 end
  return stored, at
end
