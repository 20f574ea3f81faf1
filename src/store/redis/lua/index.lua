-- What scripts about a user's index begin with. The index is a sorted set. Its members, by score:
--   0 and above          the id of a session, scored by the time of its sign-in, in seconds
--   -10^12 to below 0    the id of a session whose sign-in was refused: that time, negative
--   below -10^12         `restoring <id> <signed in at, s> <number>`, the marker of a restore: this session is
--                        about to be made. Scored by -10^12 less the time at which the restore began
local HOUR = 3600000
local RESTORING = -1000000000000

-- Milliseconds, and the same time in seconds with its microseconds.
local function index_time()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000), time[1] + time[2] / 1000000
end

-- Keeps the index until an hour after this deadline (ms), unless it is kept longer already. What is written is never
-- computed from the expiry that is there: each such round would lose the part that was rounded, and the rounds add up.
-- Where there is no index nothing happens, but a user who may not set an expiry is refused. Returns what PTTL said before.
local function keep(index, deadline, now)
  local kept_until = math.max(deadline, now) + HOUR
  local left = redis.call('PTTL', index)
  if left < kept_until - now then redis.call('PEXPIREAT', index, kept_until) end
  return left
end

-- Writes a member with its score, and keeps the index as `keep` does.
local function enter(index, score, member, deadline, now)
  -- Whoever may not write, or not set an expiry, is refused before a key is there that would have none. Memory is looked at
  -- by Redis only before a script's first change, so that is a ZADD; it changes nothing, because no member is ''.
  redis.call('ZADD', index, 'XX', 0, '')
  local left = keep(index, deadline, now)
  redis.call('ZADD', index, score, member)
  if left == -2 then keep(index, deadline, now) end
end

-- The score of a sign-in at this time, in seconds: after all others, whatever the clock does.
local function as_latest(index, score)
  local latest = redis.call('ZRANGE', index, -1, -1, 'WITHSCORES')
  if latest[2] and tonumber(latest[2]) >= score then score = tonumber(latest[2]) + 0.000001 end
  return string.format('%.6f', score)
end

-- Takes an id out, unless its score is not what it was when somebody found its session to be missing: it has signed in
-- since, or was restored. Returns 1 if it was taken out.
local function take_out(index, id, score)
  local held = redis.call('ZSCORE', index, id)
  if not held or tonumber(held) ~= tonumber(score) then return 0 end
  return redis.call('ZREM', index, id)
end

-- Marks an id as one whose sign-in was refused, unless another sign-in has written it since, with another score. Returns 1
-- if it was marked.
local function mark_refused(index, id, score)
  local held = redis.call('ZSCORE', index, id)
  if not held or tonumber(held) ~= tonumber(score) then return 0 end
  redis.call('ZADD', index, '-' .. score, id)
  return 1
end

-- Another score for the same time of sign-in. It is the same microsecond: doubles are a quarter of one apart.
local function beside(score)
  return string.format('%.8f', tonumber(score) + 0.00000025)
end

local function markers(index)
  return redis.call('ZRANGEBYSCORE', index, '-inf', string.format('(%.6f', RESTORING))
end

local function session_of_marker(marker)
  return string.match(marker, '^restoring (%S+) (%S+) ')
end
