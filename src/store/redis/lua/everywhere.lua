-- Names the sessions that end when all of a user's end. Those that are about to be made by a restore are among them. Their
-- markers are taken away, by which the restore sees that it must end what it makes. A sign-in that was written more than an
-- hour ago is not on its way any more: its session was bound, or its server died before that, and then it is a visitor's.
-- KEYS[1]  the index (index.lua)
-- ARGV     1 the id of a session that is kept ('' = none)
-- Answer   {{id, ...}, {id, ...}}: those that are signed in or about to, and those that end only if they are signed in
local index, unsure = KEYS[1], {}
local _, seconds = index_time()
local an_hour_ago = string.format('%.6f', seconds - HOUR / 1000)
for _, marker in ipairs(markers(index)) do
  local id = session_of_marker(marker)
  if id ~= ARGV[1] then
    unsure[#unsure + 1] = id
    redis.call('ZREM', index, marker)
  end
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', index, string.format('%.6f', RESTORING), '(' .. an_hour_ago)) do
  unsure[#unsure + 1] = id
end
return { redis.call('ZRANGEBYSCORE', index, an_hour_ago, '+inf'), unsure }
