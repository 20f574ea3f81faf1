-- The first step of a restore: the id in the user's index, and a marker by which the session ends if all of the user's end
-- before it is there. Whoever finds the id without a session may take it out: the last step writes it again.
-- KEYS[1]  the index (index.lua)
-- ARGV     1 the marker · 2 session id · 3 when its user signed in, s · 4 its absolute deadline, ms
-- Answer   the score of the id, if it was there already
local index, id, deadline = KEYS[1], ARGV[2], tonumber(ARGV[4])
local now, seconds = index_time()
enter(index, string.format('%.6f', RESTORING - seconds), ARGV[1], deadline, now)
local held = redis.call('ZSCORE', index, id)
if not held then redis.call('ZADD', index, beside(ARGV[3]), id) end
return held
