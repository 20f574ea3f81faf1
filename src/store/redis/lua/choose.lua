-- Decides who has to go when a user has too many sessions: by the order of sign-in.
-- KEYS[1]  the index (index.lua)
-- ARGV     1 evict or refuse · 2 most sessions · 3 the id that signs in · 4 its score, with which it may be marked as refused
--          ('' = it may not) · 5... member, score that was seen, new score ('' = it is taken out), of those that do not count
-- Answer   evict: {id, ...}, whose sessions are to be ended; their entries are left to pruning
--          refuse: {} when there is room, {'refused'} when not
local index, most, id, score = KEYS[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
for i = 5, #ARGV, 3 do replace(index, ARGV[i], ARGV[i + 1], ARGV[i + 2]) end

local count = redis.call('ZCOUNT', index, 0, '+inf')
if ARGV[1] == 'evict' then
  if count <= most then return {} end
  -- The one that signs in may be among them: later ones have overtaken it. It must go, too, because a later one that
  -- is bound already might die before it ends this one.
  return redis.call('ZRANGEBYSCORE', index, 0, '+inf', 'LIMIT', 0, count - most)
end

local held = redis.call('ZSCORE', index, id)
-- its own record is missing: the session is gone, which is not for the index to say
if not held then return {} end
if tonumber(held) >= 0 and redis.call('ZCOUNT', index, 0, '(' .. held) < most then
  -- There is room for all of them after all, so who signs in again becomes the latest. A session that is one of too many (a
  -- lowered limit) keeps its place.
  if count <= most and redis.call('ZRANGE', index, -1, -1)[1] ~= id then
    local _, seconds = index_time()
    redis.call('ZADD', index, as_latest(index, seconds), id)
  end
  return {}
end
-- The entry must stay, because another sign-in of the same session may be on its way; but it counts no more. One that was
-- there before may be bound, and stays as it is.
if score ~= '' then replace(index, id, score, '-' .. score) end
return { 'refused' }
