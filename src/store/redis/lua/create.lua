-- Makes a session. Asked again with the same secret hash it answers as the first time.
-- KEYS[1]  the session
-- ARGV     1 secret hash ('' = plain token) · 2 idle timeout, s · 3 absolute lifetime, s · 4 its own deadline, s ('' = none)
--          5... name, text, ...
-- Answer   {'made', now} · {'there', now, packed name, text, ...}: it was made before · {'conflict'}
--          {'passed', now}: its own deadline has passed
local key, secret, idle, absolute = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now = now_ms()

local stored, at = read(key)
if stored then
  -- one that was evicted was made once, and is not made again
  if at.ended and not at.created_at then return { 'conflict' } end
  if secret == '' or stored[at.secret_hash] == secret then return { 'there', now, cmsgpack.pack(stored) } end
  return { 'conflict' }
end

local expires_at, made_at = math.floor(now / 1000) + absolute, to_iso(now)
stored = { 'created_at', made_at, 'last_accessed_at', made_at, 'session_ttl', ARGV[2] }
if ARGV[4] ~= '' then
  expires_at = math.min(expires_at, tonumber(ARGV[4]))
  if expires_at * 1000 <= now then return { 'passed', now } end
  stored[7], stored[8] = 'own_deadline', ARGV[4]
end
local last = #stored
if secret ~= '' then
  stored[last + 1], stored[last + 2], stored[last + 3], stored[last + 4] =
    'secret_hash', secret, 'expires_at', string.format('%d', expires_at)
  last = last + 4
end
for i = 5, #ARGV do stored[last + i - 4] = ARGV[i] end

local ends = math.min(now + idle * 1000, expires_at * 1000)
-- Whoever may not set an expiry is refused before a key is there that would have none. Memory is looked at by Redis only
-- before a script's first change, so that must be a command that needs some. Neither changes anything: there is no key.
redis.call('ZADD', key, 'XX', 0, '')
redis.call('PEXPIREAT', key, ends)
redis.call('HSET', key, unpack(stored))
redis.call('PEXPIREAT', key, ends)
return { 'made', now }
