-- Decides who has to go when a user has too many sessions: by the order of sign-in, ghosts not counted.
-- KEYS[1]  the index (index.lua)
-- ARGV     1 evict or refuse · 2 most sessions · 3 the id that signs in · 4 its score · 5 whether it may be marked as
--          refused, 1 or 0 · 6 how many sign-ins died long ago; then id, score, ... of these, and of those whose record is
--          missing, or whose sign-in was refused long ago
-- Answer   evict: {id, ...}, whose sessions are to be ended; their entries are left to pruning
--          refuse: {} when there is room, {'refused'} when not
local index, most, id, score = KEYS[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
-- A sign-in that died has left a visitor's session here, which counts no more. It may be signed in again at this moment, so
-- its entry stays, as that of one that was refused.
local others = 7 + 2 * ARGV[6]
for i = 7, others - 1, 2 do mark_refused(index, ARGV[i], ARGV[i + 1]) end
-- ids are never used again, so one whose record is missing can never come to live
for i = others, #ARGV, 2 do take_out(index, ARGV[i], ARGV[i + 1]) end

if ARGV[1] == 'evict' then
  local too_many = redis.call('ZCOUNT', index, 0, '+inf') - most
  if too_many <= 0 then return {} end
  -- The one that signs in may be among them: later ones have overtaken it. It must go, too, because a later one that
  -- is bound already might die before it ends this one.
  return redis.call('ZRANGEBYSCORE', index, 0, '+inf', 'LIMIT', 0, too_many)
end

local held = redis.call('ZSCORE', index, id)
-- its own record is missing: the session is gone, which is not for the index to say
if not held then return {} end
if tonumber(held) >= 0 and redis.call('ZCOUNT', index, 0, '(' .. held) < most then
  -- There is room for all of them after all, so who signs in again becomes the latest. A session that is one of too many (a
  -- lowered limit) keeps its place.
  if redis.call('ZCOUNT', index, 0, '+inf') <= most and redis.call('ZRANGE', index, -1, -1)[1] ~= id then
    local _, seconds = index_time()
    redis.call('ZADD', index, as_latest(index, seconds), id)
  end
  return {}
end
-- The entry must stay, because another sign-in of the same session may be on its way; but it counts no more. One that was
-- there before may be bound, and stays as it is.
if ARGV[5] == '1' then mark_refused(index, id, score) end
return { 'refused' }
