-- Changes a session, if what is presented opens it: Record::apply, to the letter.
-- KEYS[1]  the session
-- ARGV     1 presented secret hash ('' = plain token) · 2 new secret hash ('' = no rotation) · 3 touch, 1 or 0
--          4 whether the browser presented it, 1 or 0 · 5 new idle timeout, s ('' = unchanged)
--          6 configured idle timeout, s · 7 absolute lifetime, s · 8 grace, s · 9 most fields · 10 most bytes
--          11 whether the presented secret dies with the rotation, 1 or 0
--          12 user ('' = no sign-in), and only for a sign-in · 13 idle timeout, s · 14 absolute lifetime, s · 15 auth time, s
--          ('' = now) · 16 device ('' = none) · 17 address ('' = none) · 18 whether the fields are dropped, 1 or 0
--          19 absolute lifetime as it was granted, s ('' = the configured one) · 20 how long the browser keeps the cookie, s
--          ('' = the configured time) · 21 whether this may only be the latest sign-in once more, 1 or 0;
--          then four lists, each its length first:
--          expected (name, 1 or 0 for there or not, text) · set (name, text) · removed (name) · added (name, by)
-- Answer   {'done', now, packed name, text, ...} · {'gone'} · {'conflict'} · {'invalid', field, reason}
local argv, key = ARGV, KEYS[1]
local secret, new_secret, touch, confirm = argv[1], argv[2], argv[3] == '1', argv[4] == '1'
local new_idle, absolute = tonumber(argv[5]), tonumber(argv[7])
local user = argv[12] ~= '' and argv[12] or nil
local plain = secret == ''
local now = now_ms()

-- where the lists have their lengths
local expected = user and 22 or 13
local set = expected + 1 + 3 * argv[expected]
local removed = set + 1 + 2 * argv[set]
local added = removed + 1 + argv[removed]

-- 1. Whose session is it, and does it still live?
local stored, at = read(key)
local created_text = stored and stored[at.created_at]
if not created_text or (not plain and (not at.secret_hash or at.ended)) then return { 'gone' } end
-- Times are dear to read. Where the deadline is written down it is enough that created_at looks as we write it.
local expires_at, created_at = not plain and whole_number(stored[at.expires_at], 11) or nil, nil
if not expires_at or not string.find(created_text, OUR_ISO) then
  created_at = from_iso(created_text)
  if not created_at then return { 'gone' } end
  expires_at = expires_at or math.floor(created_at / 1000) + absolute
end
local remaining = redis.call('PTTL', key)
if remaining <= 0 then return { 'gone' } end
if now >= expires_at * 1000 then
  -- another program kept it alive beyond its absolute lifetime: it ends here
  redis.call('DEL', key)
  return { 'gone' }
end
local current = stored[at.secret_hash]
if new_secret ~= '' and current == new_secret then return done(stored, now) end
local is_current = plain or current == secret
local is_previous = not is_current and stored[at.previous_secret_hash] == secret
local bound = stored[at.user_id]
local signed_in_at = not plain and whole_number(stored[at.signed_in_at], 11)
-- one more, because the time of the sign-in was rounded down
local holds_sign_in = signed_in_at and argv[8] ~= '0' and now < (signed_in_at + argv[8] + 1) * 1000
local again = user and bound == user and holds_sign_in and stored[at.sign_in_secret_hash] == secret
if user and not again then
  if argv[21] == '1' or not (is_current or is_previous) or (bound and bound ~= user) then return { 'conflict' } end
elseif not user and not is_current then
  if not is_previous then return { 'gone' } end
  if new_secret ~= '' then return { 'conflict' } end
end
local binds = user and not again

-- 2. Is everything as expected?
local dropped
if binds and argv[18] == '1' then
  dropped = {}
  local is_reserved = reserved(plain)
  for i = 1, #stored, 2 do
    local name = stored[i]
    if not is_reserved[name] then dropped[name], at[name] = stored[i + 1], nil end
  end
end
for i = expected + 1, set - 1, 3 do
  local there = stored[at[argv[i]]]
  if (argv[i + 1] == '1' and there ~= argv[i + 2]) or (argv[i + 1] == '0' and there) then return { 'conflict' } end
end

-- A command that the server forbids must not leave half of the change behind. So each that comes after another is tried
-- before, in a way that changes nothing: the expiry, which is set last, as it is; and what is written beside the counters.
local extends = touch or new_idle or user
if extends then redis.call('PEXPIREAT', key, now + remaining) end
local function try_writing()
  redis.call('HSET', key, 'created_at', created_text)
  redis.call('HDEL', key, '')
end

-- 3. The counters, by HINCRBY because Lua's numbers hold only 53 bits. It refuses what is no number, so it goes
--    first; what it did is undone when something later does not fit.
local sums, undo
local function undo_sums()
  for name, text in pairs(undo or {}) do
    if text then redis.call('HSET', key, name, text) else redis.call('HDEL', key, name) end
  end
end
local function refuse(field, reason)
  undo_sums()
  return { 'invalid', field, reason }
end
if argv[added] ~= '0' then
  try_writing()
  sums, undo = {}, {}
  -- up to here a number of Lua is exact
  local MOST_EXACT = 2 ^ 53
  for i = added + 1, added + 2 * argv[added], 2 do
    local name = argv[i]
    local was = dropped and dropped[name]
    if was then
      undo[name] = was
      redis.call('HDEL', key, name)
    end
    local answer = redis.pcall('HINCRBY', key, name, argv[i + 1])
    if type(answer) == 'table' and answer.err then
      if string.find(answer.err, 'overflow') then return refuse(name, 'overflow') end
      if string.find(answer.err, 'not an integer') then return refuse(name, 'number') end
      -- the server forbids it
      undo_sums()
      return answer
    end
    undo[name] = stored[at[name]] or was or false
    local is_exact = answer > -MOST_EXACT and answer < MOST_EXACT
    sums[name] = is_exact and string.format('%.0f', answer) or redis.call('HGET', key, name)
  end
end

-- 4. What becomes of the fields, and does it fit? A session that is too large already may be changed, but not grow.
local more_fields, more_bytes, last = 0, 0, #stored
local writes, deletes = {}, {}
local function becomes(name, text)
  local place = at[name]
  if place then
    more_bytes = more_bytes + #text - #stored[place]
    stored[place] = text
  else
    more_fields, more_bytes = more_fields + 1, more_bytes + #name + #text
    stored[last + 1], stored[last + 2] = name, text
    last = last + 2
    at[name] = last
  end
end
local function write(name, text)
  becomes(name, text)
  writes[#writes + 1] = name
  writes[#writes + 1] = text
end
-- its place in what was stored is left empty
local function delete(name)
  local place = at[name]
  if not place then return end
  more_fields, more_bytes = more_fields - 1, more_bytes - #name - #stored[place]
  at[name] = nil
  deletes[#deletes + 1] = name
end
for i = set + 1, removed - 1, 2 do write(argv[i], argv[i + 1]) end
for i = removed + 1, added - 1 do delete(argv[i]) end
if sums then
  for name, text in pairs(sums) do becomes(name, text) end
end
if more_fields > 0 or more_bytes > 0 then
  local most_fields, most_bytes = tonumber(argv[9]), tonumber(argv[10])
  local fields, bytes = 0, 0
  for i = 1, last, 2 do
    if at[stored[i]] == i + 1 then
      fields = fields + 1
      bytes = bytes + #stored[i] + #stored[i + 1]
    end
  end
  -- mostly it fits with our own fields counted in
  if fields > most_fields or bytes > most_bytes then
    for name in pairs(reserved(plain)) do
      if at[name] then
        fields = fields - 1
        bytes = bytes - #name - #stored[at[name]]
      end
    end
    if fields > most_fields then return refuse('session', 'fields') end
    if bytes > most_bytes then return refuse('session', 'bytes') end
  end
end
if dropped then
  for name in pairs(dropped) do
    -- a counter of this name has begun anew
    if not (sums and sums[name]) then deletes[#deletes + 1] = name end
  end
end

-- 5. The secret. Once the browser has the new one, the grace of the previous one begins.
if new_secret ~= '' then
  write('secret_hash', new_secret)
  write('rotated_at', string.format('%d', math.floor(now / 1000)))
  if argv[11] == '1' or binds then delete('previous_secret_hash') else write('previous_secret_hash', current) end
  delete('previous_until')
elseif at.previous_secret_hash and not at.previous_until and is_current and not plain and confirm then
  write('previous_until', string.format('%d', math.ceil(now / 1000) + argv[8]))
end

-- A sign-in is held for a second click; what it replaced is forgotten after that.
if binds then
  write('sign_in_secret_hash', secret)
elseif not plain and not holds_sign_in then
  delete('sign_in_secret_hash')
end

-- 6. The user, on the terms of this sign-in.
if binds then
  local function write_or_delete(name, text)
    if text ~= '' then write(name, text) else delete(name) end
  end
  write('user_id', user)
  -- no time in the future, which would be recent for ever
  write('auth_time', string.format('%d', math.min(tonumber(argv[15]) or now, math.floor(now / 1000))))
  write_or_delete('device', argv[16])
  write_or_delete('ip', argv[17])
  write_or_delete('absolute_lifetime', argv[19])
  write_or_delete('cookie_max_age', argv[20])
  new_idle = new_idle or tonumber(argv[13])
  signed_in_at = math.floor(now / 1000)
  expires_at = signed_in_at + argv[14]
  write('signed_in_at', string.format('%d', signed_in_at))
end
if not plain and whole_number(stored[at.expires_at], 11) ~= expires_at then
  write('expires_at', string.format('%d', expires_at))
end

-- 7. The lifetime, last: whatever was written before it, the key has an expiry.
local ends = now + remaining
if extends then
  local was = whole_number(stored[at.session_ttl], 9)
  local idle = new_idle or (was and was > 0 and was or tonumber(argv[6]))
  -- with plain tokens the other program's session_ttl is none of ours to make smaller
  if idle > absolute and (new_idle or not plain) then
    -- the absolute lifetime: the configured one, or the session's own where that is longer
    local since = signed_in_at or (created_at or from_iso(created_text) or now) / 1000
    idle = math.min(idle, math.max(absolute, math.floor(expires_at - since)))
  end
  write('last_accessed_at', to_iso(now))
  if idle ~= was then write('session_ttl', string.format('%d', idle)) end
  ends = now + idle * 1000
end
if #deletes > 0 and #writes > 0 and not sums then try_writing() end
-- Lua unpacks at most 8000 at once
for i = 1, #deletes, 1000 do redis.call('HDEL', key, unpack(deletes, i, math.min(i + 999, #deletes))) end
for i = 1, #writes, 1000 do redis.call('HSET', key, unpack(writes, i, math.min(i + 999, #writes))) end
-- Whatever is written, the key and its expiry stay: no field of ours is ever the last to be removed. TIME and PTTL may be
-- a millisecond apart.
if extends or ends > expires_at * 1000 + 2 then
  redis.call('PEXPIREAT', key, math.min(ends, expires_at * 1000))
end

if #deletes == 0 and not dropped then return done(stored, now) end
local left = {}
for i = 1, last, 2 do
  if at[stored[i]] == i + 1 then left[#left + 1], left[#left + 2] = stored[i], stored[i + 1] end
end
return done(left, now)
