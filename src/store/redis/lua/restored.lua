-- The last step of a restore that has made its session: the id without its marker.
-- KEYS[1]  the index (index.lua)
-- ARGV     1 the marker · 2 session id · 3 when its user signed in, s · 4 the score that the id had before the restore ('' =
--          it was not there)
-- Answer   1 if the marker was there; 0 if the user's sessions were ended meanwhile, so that this one must end, too
local index, score = KEYS[1], ARGV[3]
if not redis.call('ZSCORE', index, ARGV[1]) then return 0 end
-- Somebody may have found the id when its session was missing, and be about to take it out: it needs another score.
if tonumber(score) == tonumber(ARGV[4]) then score = beside(score) end
redis.call('ZADD', index, score, ARGV[2])
redis.call('ZREM', index, ARGV[1])
return 1
