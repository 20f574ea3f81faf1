-- Makes a session that another store holds. What is there already stays as it is.
-- KEYS[1]  the session
-- ARGV     1 when it ends, ms · 2... name, text, ...
-- Answer   'made' · 'taken' · 'ended', by this server's clock
local key, ends = KEYS[1], tonumber(ARGV[1])
-- no EXISTS: the application's user need not have that command
if redis.call('PTTL', key) ~= -2 then return 'taken' end
if now_ms() >= ends then return 'ended' end
-- Whoever may not set an expiry, or finds memory full, is refused before a key is there that would have none (create.lua).
redis.call('ZADD', key, 'XX', 0, '')
redis.call('PEXPIREAT', key, ends)
-- Lua unpacks at most 8000 at once
for i = 2, #ARGV, 1000 do redis.call('HSET', key, unpack(ARGV, i, math.min(i + 999, #ARGV))) end
redis.call('PEXPIREAT', key, ends)
return 'made'
