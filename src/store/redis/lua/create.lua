-- Makes a session. Asked again with the same secret hash it answers as the first time.
-- KEYS[1]  the session
-- ARGV     1 secret hash ('' = plain token) · 2 idle timeout, s · 3 absolute lifetime, s · 4... name, text, ...
-- Answer   {'done', now, {name, text, ...}} · {'conflict'}
local key, secret, idle, absolute = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now = now_ms()

local record = read(key)
if record then
  -- one that was evicted was made once, and is not made again
  if record.ended and not record.created_at then return { 'conflict' } end
  if secret == '' or record.secret_hash == secret then return done(record, now) end
  return { 'conflict' }
end

local expires_at = math.floor(now / 1000) + absolute
record = { created_at = to_iso(now), last_accessed_at = to_iso(now), session_ttl = ARGV[2] }
if secret ~= '' then
  record.secret_hash = secret
  record.expires_at = string.format('%d', expires_at)
end
for i = 4, #ARGV, 2 do record[ARGV[i]] = ARGV[i + 1] end

local answer = done(record, now)
redis.call('HSET', key, unpack(answer[3]))
redis.call('PEXPIREAT', key, math.min(now + idle * 1000, expires_at * 1000))
return answer
