-- Makes a session as the application has planned it, if there is nothing at its key.
-- KEYS[1]  the session
-- ARGV     1 the server's time that was planned with, ms ('' = any, for a session that another store holds)
--          2 when the session ends, ms · 3... name, text, ...
-- Answer   {'made', now} · {'later', now}: that time is too long ago · {'ended', now}: it ends before it begins
--          {'there', now, packed name, text, ...}: something is there, and stays as it is
local key, ends, now = KEYS[1], tonumber(ARGV[2]), now_ms()
-- no EXISTS: the application's user need not have that command
if redis.call('PTTL', key) ~= -2 then return { 'there', now, cmsgpack.pack(of_hash('HGETALL', key) or {}) } end
if ARGV[1] ~= '' and is_stale(ARGV[1], now) then return { 'later', now } end
if now >= ends then return { 'ended', now } end
-- Whoever may not set an expiry is refused before a key is there that would have none. Memory is looked at by Redis only
-- before a script's first change, so that must be a command that needs some. Neither changes anything: there is no key.
redis.call('ZADD', key, 'XX', 0, '')
redis.call('PEXPIREAT', key, ends)
-- Lua unpacks at most 8000 at once
for i = 3, #ARGV, 1000 do redis.call('HSET', key, unpack(ARGV, i, math.min(i + 999, #ARGV))) end
redis.call('PEXPIREAT', key, ends)
return { 'made', now }
