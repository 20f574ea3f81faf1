-- Writes the id of a session that is signed in into its user's index again, where a failover has lost it, or where it stands
-- as a refused sign-in. One that is there stays as it is.
-- KEYS[1]  the index (index.lua)
-- ARGV     1 session id · 2 when its user signed in, s · 3 its absolute deadline, ms
-- Answer   1 if it was missing
local index, id = KEYS[1], ARGV[1]
local now = index_time()
local held = redis.call('ZSCORE', index, id)
if held and tonumber(held) >= 0 then
  keep(index, tonumber(ARGV[3]), now)
  return 0
end
enter(index, ARGV[2], id, tonumber(ARGV[3]), now)
return 1
