-- What scripts about a session begin with. Each run makes these functions anew, so there are few.

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The application plans by this server's time as it was when the session was loaded, and never by its own clock. Returns
-- whether that was too long ago.
local function is_stale(planned, now)
  return now - planned < 0 or now - planned > 1000
end

-- The answer of a command about a hash; nothing where something else is at the key, which is no session. Any other refusal
-- (no permission, say) is an error: a store that fails is not a session that is gone.
local function of_hash(...)
  local answer = redis.pcall(...)
  if answer.err and not string.find(answer.err, '^WRONGTYPE') then error(answer.err) end
  return not answer.err and answer or nil
end
