-- Writes a session's id into its user's index, as the latest sign-in, before the user is bound to it.
-- KEYS[1]  the index: ids, scored by the time of sign-in; a refused sign-in has a negative score
-- ARGV     1 session id · 2 absolute lifetime, s · 3 most sessions · 4 evict or refuse
-- Answer   {score, {id, ...}, new}: the id's score, all ids in the order of sign-in if they are too many, and 1 if it was
--          not there before, or only as refused
local index, id, lifetime, most = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local score = time[1] + time[2] / 1000000

-- no two sign-ins at the same time, whatever the clock does
local latest = redis.call('ZRANGE', index, -1, -1, 'WITHSCORES')
if latest[2] and tonumber(latest[2]) >= score then score = tonumber(latest[2]) + 0.000001 end
-- refused sign-ins of more than an hour ago are not on their way any more
for _, old in ipairs(redis.call('ZRANGEBYSCORE', index, '(' .. string.format('%.6f', 3600 - score), '(0')) do
  redis.call('ZREM', index, old)
end
local held = redis.call('ZSCORE', index, id)
local is_new = not held or tonumber(held) < 0
local others = redis.call('ZCOUNT', index, 0, '+inf') - (is_new and 0 or 1)
-- Where the policy is to refuse and there are too many, one of them is about to count those before it. A session that
-- moved away from there would not be counted, and be one too many.
if is_new or ARGV[4] == 'evict' or others < most then
  redis.call('ZADD', index, string.format('%.6f', score), id)
end

-- until an hour after the latest deadline of any of its sessions
local keep = (lifetime + 3600) * 1000
redis.call('PEXPIREAT', index, time[1] * 1000 + math.max(keep, redis.call('PTTL', index)))

local ids = {}
if others >= most then ids = redis.call('ZRANGEBYSCORE', index, 0, '+inf') end
return { redis.call('ZSCORE', index, id), ids, is_new and 1 or 0 }
