-- What scripts about a user's index begin with. The index is a sorted set. Its members, by score:
--   0 and above          the id of a session, scored by the time of its sign-in, in seconds
--   -10^12 to below 0    the id of a session whose sign-in was refused: that time, negative
--   below -10^12         `restoring <id> <signed in at, s> <number>`, the marker of a restore: this session is
--                        about to be made. Scored by -10^12 less the time at which the restore began
local HOUR = 3600000

-- Milliseconds, and the same time in seconds with its microseconds.
local function index_time()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000), time[1] + time[2] / 1000000
end

-- A score after all others, whatever the clock does: this time (s), or the next microsecond after the latest.
local function as_latest(index, seconds)
  local latest = tonumber(redis.call('ZRANGE', index, -1, -1, 'WITHSCORES')[2])
  return string.format('%.6f', latest and latest >= seconds and latest + 0.000001 or seconds)
end

-- Gives a member another score ('' = takes it out), if it still has the score that was seen ('' = none). Returns whether it
-- had, and what it has instead.
local function replace(index, member, seen, score)
  local held = redis.call('ZSCORE', index, member)
  if tonumber(held) ~= tonumber(seen) then return false, held or '' end
  if score == '' then redis.call('ZREM', index, member) else redis.call('ZADD', index, score, member) end
  return true
end

-- Lets somebody write, and keeps the index until an hour after a deadline (ms), unless it is kept longer already. That time is
-- never computed from the expiry that is there, because each such round would lose what was rounded, and the rounds add up.
local function keep(index, deadline, now, write)
  local kept_until = math.max(deadline, now) + HOUR
  local left = redis.call('PTTL', index)
  if left < kept_until - now then
    -- whoever may not write, or not set an expiry, is refused before a key is there that would have none (make.lua)
    redis.call('ZADD', index, 'XX', 0, '')
    redis.call('PEXPIREAT', index, kept_until)
  end
  write()
  if left == -2 then redis.call('PEXPIREAT', index, kept_until) end
end
