-- Changes entries of an index, one after the other, as long as each is what was seen.
-- KEYS[1]  the index (index.lua)
-- ARGV     1 when the sessions in it end, ms ('' = it is kept as long as it is)
--          2... member, the score that was seen ('' = none), the new score ('' = it is taken out), ...
-- Answer   {how many were changed, the score of the first that is something else by now ('' = none)}
local index, deadline, changed, found = KEYS[1], tonumber(ARGV[1]), 0, ''
local function write()
  for i = 2, #ARGV, 3 do
    local is_seen, held = replace(index, ARGV[i], ARGV[i + 1], ARGV[i + 2])
    if not is_seen then
      found = held
      return
    end
    changed = changed + 1
  end
end
if deadline then keep(index, deadline, (index_time()), write) else write() end
return { changed, found }
