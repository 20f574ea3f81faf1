-- Takes back what a sign-in has written, because it was refused then. An id that was there before gets its former score.
-- One that was not is marked: it must stay, because another sign-in of the same session may be on its way; but it counts no
-- more, and the session does not end with those of the user. Where another sign-in has written the id since, it has another
-- score and stays as it is.
-- KEYS[1]  the index (index.lua)
-- ARGV     1 session id · 2 the score that it was written with · 3 its score before ('' = it was not there)
-- Answer   1 if it was taken back
local index, id, score, before = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
if not before or before < 0 then return mark_refused(index, id, score) end
if redis.call('ZSCORE', index, id) ~= score then return 0 end
redis.call('ZADD', index, ARGV[3], id)
return 1
