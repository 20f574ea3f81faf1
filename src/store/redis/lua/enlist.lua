-- Writes a session's id into its user's index, as the latest sign-in, before the user is bound to it.
-- KEYS[1]  the index: ids, scored by the time of sign-in; a refused sign-in has a negative score
-- ARGV     1 session id · 2 absolute lifetime, s · 3 most sessions
-- Answer   {score, {id, ...}, earlier}: the score that was given, all ids in the order of sign-in if they are too many,
--          and the score that the id had before ('' = none)
local index, lifetime, most = KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local score = time[1] + time[2] / 1000000

-- no two sign-ins at the same time, whatever the clock does
local latest = redis.call('ZRANGE', index, -1, -1, 'WITHSCORES')
if latest[2] and tonumber(latest[2]) >= score then score = tonumber(latest[2]) + 0.000001 end
local earlier = redis.call('ZSCORE', index, ARGV[1]) or ''
redis.call('ZADD', index, string.format('%.6f', score), ARGV[1])

-- until an hour after the latest deadline of any of its sessions
local keep = (lifetime + 3600) * 1000
redis.call('PEXPIREAT', index, time[1] * 1000 + math.max(keep, redis.call('PTTL', index)))

local ids = {}
if redis.call('ZCOUNT', index, 0, '+inf') > most then ids = redis.call('ZRANGEBYSCORE', index, 0, '+inf') end
return { redis.call('ZSCORE', index, ARGV[1]), ids, earlier }
