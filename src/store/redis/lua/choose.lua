-- Decides who has to go when a user has too many sessions: by the order of sign-in, ghosts not counted.
-- KEYS[1]  the index
-- ARGV     1 evict or refuse · 2 most sessions · 3 the id that signs in · 4 its score · 5 the score it had before
--          ('' = none) · 6... ids whose record is missing
-- Answer   evict: {id, ...}, whose sessions are to be ended; their entries are left to pruning
--          refuse: {} when there is room, {'refused'} when not
local index, most, id, score = KEYS[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
-- ids are never used again, so one whose record is missing can never come to live
for i = 6, #ARGV do redis.call('ZREM', index, ARGV[i]) end

if ARGV[1] == 'evict' then
  local too_many = redis.call('ZCOUNT', index, 0, '+inf') - most
  local victims = {}
  if too_many > 0 then
    for _, victim in ipairs(redis.call('ZRANGEBYSCORE', index, 0, '+inf', 'LIMIT', 0, too_many)) do
      if victim ~= id then victims[#victims + 1] = victim end
    end
  end
  return victims
end

if redis.call('ZCOUNT', index, 0, '(' .. score) < most then return {} end
-- the entry must stay, because another sign-in of the same session may be on its way; but it counts as it did before,
-- and as nothing if it was not there
if redis.call('ZSCORE', index, id) == score then redis.call('ZADD', index, ARGV[5] ~= '' and ARGV[5] or '-' .. score, id) end
return { 'refused' }
