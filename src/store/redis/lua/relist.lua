-- Writes a session's id into its user's index again, where a failover has lost it, or with a session of
-- another store. One that is there stays as it is.
-- KEYS[1]  the index
-- ARGV     1 session id · 2 when its user signed in, s · 3 its absolute deadline, s
-- Answer   1 if it was missing
local index = KEYS[1]
local added = redis.call('ZADD', index, 'NX', ARGV[2], ARGV[1])
local time = redis.call('TIME')
local expires_at = math.max((tonumber(ARGV[3]) + 3600) * 1000, time[1] * 1000 + redis.call('PTTL', index))
redis.call('PEXPIREAT', index, expires_at)
return added
