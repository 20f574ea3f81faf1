-- Each session as it is stored, and what is left of its life: {id, text}. The trace of an eviction is no session.
local all = {}
for _, key in ipairs(redis.call('KEYS', 'session:*')) do
  if redis.call('TYPE', key).ok == 'hash' and redis.call('HGET', key, 'created_at') then
    local stored, pairs_of = redis.call('HGETALL', key), {}
    for i = 1, #stored, 2 do pairs_of[#pairs_of + 1] = stored[i] .. '=' .. stored[i + 1] end
    table.sort(pairs_of)
    local text = table.concat(pairs_of, '; ') .. '; ' .. redis.call('PTTL', key) .. ' ms are left'
    all[#all + 1] = { (key:gsub('^session:', '')), text }
  end
end
return all
