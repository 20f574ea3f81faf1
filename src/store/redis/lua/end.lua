-- Ends a session, if it is this user's. What tells an evicted one's browser why stays: that session has ended already.
-- KEYS[1]  the session
-- ARGV     1 user ('' = whoever's) · 2 whether it must be bound already, 1 or 0 · 3 how long its browser can learn why, s
--          (0 = not) · 4 the secret hash that must open it ('' = any)
-- Answer   1 ended, 0 ended before its user was bound, -1 no record, or a stale secret, -2 somebody else's
local key, user = KEYS[1], ARGV[1]
local record = read(key)
-- with plain tokens `ended` may be the application's
if not record or (record.ended and not record.created_at) then return -1 end
if user ~= '' and record.user_id ~= user and (record.user_id or ARGV[2] == '1') then return -2 end
if ARGV[4] ~= '' and record.secret_hash ~= ARGV[4] and record.previous_secret_hash ~= ARGV[4] then return -1 end

-- delete first: with full memory deleting still works, and makes what follows work
redis.call('DEL', key)
if ARGV[3] ~= '0' and record.secret_hash then
  redis.call('HSET', key, 'ended', 'signed in elsewhere', 'secret_hash', record.secret_hash)
  redis.call('PEXPIREAT', key, now_ms() + ARGV[3] * 1000)
end
return record.user_id and 1 or 0
