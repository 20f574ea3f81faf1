-- Ends a session, if it is this user's. What tells an evicted one's browser why stays: that session has ended already.
-- KEYS[1]  the session
-- ARGV     1 user ('' = whoever's) · 2 whether it must be bound already, 1 or 0 · 3 how long its browser can learn why, s
--          (0 = not) · 4 the secret hash that must open it ('' = any)
-- Answer   1 ended, 0 ended before its user was bound, -1 no record, -2 somebody else's, -3 a stale secret
local key, user, shown = KEYS[1], ARGV[1], ARGV[4]
local found = of_hash('HMGET', key, 'created_at', 'user_id', 'secret_hash', 'previous_secret_hash')
-- the notice of an eviction has no time of creation
if not found or not found[1] then return -1 end
local owner, secret_hash = found[2], found[3]
if user ~= '' and owner ~= user and (owner or ARGV[2] == '1') then return -2 end
if shown ~= '' and shown ~= secret_hash and shown ~= found[4] then return -3 end

-- delete first: with full memory deleting still works, and makes what follows work
redis.call('DEL', key)
if ARGV[3] ~= '0' and secret_hash then
  -- The session has ended, whatever becomes of the notice: what is refused here (by an ACL) is no failure. But a notice
  -- without an expiry must not stay.
  local told = redis.pcall('HSET', key, 'ended', 'signed in elsewhere', 'secret_hash', secret_hash)
  if type(told) == 'number' then told = redis.pcall('PEXPIREAT', key, now_ms() + ARGV[3] * 1000) end
  if type(told) ~= 'number' then redis.call('DEL', key) end
end
return owner and 1 or 0
