-- What scripts begin with: the server's time, which fields are ours, and how a session is read and answered.
--
-- Each run of a script makes its functions and tables anew, and Redis does nothing else meanwhile: so there are few of them,
-- and what is needed rarely is made where it is needed.

-- The reserved names, the three of the plain layout first (record.rs has the same list; a test compares them).
local function reserved(plain)
  local RESERVED = { 'created_at', 'last_accessed_at', 'session_ttl', 'expires_at', 'secret_hash',
    'previous_secret_hash', 'previous_until', 'rotated_at', 'user_id', 'auth_time', 'device', 'ip',
    'signed_in_at', 'absolute_lifetime', 'cookie_max_age', 'sign_in_secret_hash', 'ended' }
  local PLAIN_RESERVED = 3
  local is_reserved = {}
  for i = 1, plain and PLAIN_RESERVED or #RESERVED do is_reserved[RESERVED[i]] = true end
  return is_reserved
end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A whole number that another program may have written, or nil.
local function whole_number(text, most_digits)
  if text and #text <= most_digits and string.find(text, '^%d+$') then return tonumber(text) end
  return nil
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

-- The answer: what was done, the server's time, and the session as it is now, packed into one string, because two dozen are
-- dear for Redis to write and for the client to read.
local function done(stored, now)
  return { 'done', now, cmsgpack.pack(stored) }
end
