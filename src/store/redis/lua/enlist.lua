-- Writes a session's id into its user's index, as the latest sign-in, before the user is bound to it.
-- KEYS[1]  the index (index.lua)
-- ARGV     1 session id · 2 absolute lifetime, s · 3 most sessions · 4 evict or refuse
-- Answer   {score, {id, score, ...}, {id, score, ...}, before, now}: the id's score; if there are too many, all ids in the order
--          of sign-in, and those whose sign-in was refused more than an hour ago; the id's score before ('' = it was not
--          there); and the server's time, s
local index, id, lifetime, most = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now, seconds = index_time()
local an_hour_ago = seconds - HOUR / 1000

local latest = as_latest(index, seconds)
local held = redis.call('ZSCORE', index, id)
local is_new = not held or tonumber(held) < 0
local others = redis.call('ZCOUNT', index, 0, '+inf') - (is_new and 0 or 1)
local deadline = now + lifetime * 1000
-- Where the policy is to refuse and there are too many, one of them is about to count those before it. A session that
-- moved away from there would not be counted, and be one too many. Where too many of them have ended, it moves once that is
-- known (choose.lua).
if is_new or ARGV[4] == 'evict' or others < most then
  enter(index, latest, id, deadline, now)
else
  keep(index, deadline, now)
end

-- A restore that began more than an hour ago has died. Whether it has made its session nobody knows: as an id without a
-- marker it is a session or a ghost, as any other.
for _, marker in ipairs(markers(index)) do
  if RESTORING - redis.call('ZSCORE', index, marker) < an_hour_ago then
    local restored, signed_in_at = session_of_marker(marker)
    if restored then redis.call('ZADD', index, 'NX', signed_in_at, restored) end
    redis.call('ZREM', index, marker)
  end
end

local ids, refused = {}, {}
if others >= most then
  ids = redis.call('ZRANGEBYSCORE', index, 0, '+inf', 'WITHSCORES')
  refused = redis.call('ZRANGEBYSCORE', index, string.format('(%.6f', -an_hour_ago), '(0', 'WITHSCORES')
end
return { redis.call('ZSCORE', index, id), ids, refused, held or '', string.format('%.6f', seconds) }
