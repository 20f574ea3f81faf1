-- Takes ids whose record is missing out of an index. Ids are never used again, so they can never come to live.
-- KEYS[1]  the index (index.lua)
-- ARGV     id, score that it had when its record was missing, ...
-- Answer   how many were taken out
local index, count = KEYS[1], 0
for i = 1, #ARGV, 2 do count = count + take_out(index, ARGV[i], ARGV[i + 1]) end
return count
