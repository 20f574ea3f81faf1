-- What is wrong with the keys as they are stored, one sentence each, and the sessions: {id, created_at, user ('' = none)}.
local wrong, sessions = {}, {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key)
  if left == -1 then wrong[#wrong + 1] = key .. ' has no expiry' end
  local user, expires_at, created_at
  if redis.call('TYPE', key).ok == 'hash' then
    user, expires_at, created_at = unpack(redis.call('HMGET', key, 'user_id', 'expires_at', 'created_at'))
    if created_at then sessions[#sessions + 1] = { (key:gsub('^session:', '')), created_at, user or '' } end
  end
  if user then
    local index = 'session:user:' .. user
    if not redis.call('ZSCORE', index, (key:gsub('^session:', ''))) then
      wrong[#wrong + 1] = key .. ' is bound to ' .. user .. ', and is not in the index'
    else
      local time = redis.call('TIME')
      local now = time[1] * 1000 + math.floor(time[2] / 1000)
      if redis.call('PTTL', index) + now < expires_at * 1000 then
        wrong[#wrong + 1] = 'the index of ' .. user .. ' ends before ' .. key .. ' must at the latest'
      end
    end
  end
end
return { wrong, sessions }
