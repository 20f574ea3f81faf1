-- Writes a session's id into its user's index, as the latest sign-in, before the user is bound to it.
-- KEYS[1]  the index (index.lua)
-- ARGV     1 session id · 2 absolute lifetime, s · 3 most sessions · 4 evict or refuse
-- Answer   {score, before, now, {id, score, ...}}: the id's score, and its score before ('' = it was not there); the server's
--          time, s; and if there are too many, all in the order of sign-in, with those whose sign-in was refused more than
--          an hour ago
local index, id, most = KEYS[1], ARGV[1], tonumber(ARGV[3])
local now, seconds = index_time()
local score, before = as_latest(index, seconds), redis.call('ZSCORE', index, id) or ''
local is_new = before == '' or tonumber(before) < 0
local others = redis.call('ZCOUNT', index, 0, '+inf') - (is_new and 0 or 1)
-- Where the policy is to refuse and there are too many, one of them is about to count those before it. A session that
-- moved away from there would not be counted, and be one too many. Where too many of them have ended, it moves once that is
-- known (choose.lua).
if not is_new and ARGV[4] == 'refuse' and others >= most then score = before end
keep(index, now + ARGV[2] * 1000, now, function() redis.call('ZADD', index, score, id) end)

local all = {}
if others >= most then
  local refused = string.format('(%.6f', HOUR / 1000 - seconds)
  all = redis.call('ZRANGEBYSCORE', index, refused, '+inf', 'WITHSCORES')
end
return { score, before, string.format('%.6f', seconds), all }
