-- Changes a session, if what is presented opens it: Record::apply, to the letter.
-- KEYS[1]  the session
-- ARGV     1 presented secret hash ('' = plain token) · 2 new secret hash ('' = no rotation) · 3 touch, 1 or 0
--          4 whether the browser presented it, 1 or 0 · 5 new idle timeout, s ('' = unchanged)
--          6 configured idle timeout, s · 7 absolute lifetime, s · 8 grace, s · 9 most fields · 10 most bytes
--          11 whether the presented secret dies with the rotation, 1 or 0
--          12 user ('' = no sign-in), and only for a sign-in · 13 idle timeout, s · 14 absolute lifetime, s · 15 auth time, s
--          ('' = now) · 16 device ('' = none) · 17 address ('' = none) · 18 whether the fields are dropped, 1 or 0;
--          then four lists, each its length first:
--          expected (name, 1 or 0 for there or not, text) · set (name, text) · removed (name) · added (name, by)
-- Answer   {'done', now, {name, text, ...}} · {'gone'} · {'conflict'} · {'invalid', field, reason}
local key, secret, new_secret, touch = KEYS[1], ARGV[1], ARGV[2], ARGV[3] == '1'
local confirm, new_idle, configured_idle, absolute = ARGV[4] == '1', tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local grace, max_fields, max_bytes = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local drop_previous, user = ARGV[11] == '1', ARGV[12] ~= '' and ARGV[12] or nil
local plain = secret == ''
local now = now_ms()

local position = user and 18 or 12
local function list_of(width)
  position = position + 1
  local items = {}
  for i = 1, tonumber(ARGV[position]) do
    items[i] = { unpack(ARGV, position + 1, position + width) }
    position = position + width
  end
  return items
end
local expected, set, removed, added = list_of(3), list_of(2), list_of(1), list_of(2)

-- 1. Whose session is it, and does it still live?
local record = read(key)
if not record or not record.created_at or (not plain and (not record.secret_hash or record.ended)) then
  return { 'gone' }
end
-- Times are dear to read. Where the deadline is written down it is enough that created_at looks as we write it.
local expires_at = not plain and string.match(record.created_at, OUR_ISO) and whole_number(record.expires_at, 11)
local created_at = not expires_at and from_iso(record.created_at)
if not expires_at and not created_at then return { 'gone' } end
expires_at = expires_at or (not plain and whole_number(record.expires_at, 11)) or math.floor(created_at / 1000) + absolute
local remaining = redis.call('PTTL', key)
if remaining < 0 then return { 'gone' } end
if now >= expires_at * 1000 then
  -- another program kept it alive beyond its absolute lifetime: it ends here
  redis.call('DEL', key)
  return { 'gone' }
end
if new_secret ~= '' and record.secret_hash == new_secret then return done(record, now) end
local is_current = plain or record.secret_hash == secret
if not is_current then
  if record.previous_secret_hash ~= secret then return { 'gone' } end
  if new_secret ~= '' then return { 'conflict' } end
end
if user and record.user_id and record.user_id ~= user then return { 'conflict' } end

-- 2. Is everything as expected?
local function reserved()
  local is_reserved = {}
  for i = 1, plain and PLAIN_RESERVED or #RESERVED do is_reserved[RESERVED[i]] = true end
  return is_reserved
end
local dropped = {}
if user and ARGV[18] == '1' then
  local is_reserved = reserved()
  for name, text in pairs(record) do
    if not is_reserved[name] then dropped[name] = text end
  end
  for name in pairs(dropped) do record[name] = nil end
end
for _, item in ipairs(expected) do
  local there = record[item[1]]
  if (item[2] == '1' and there ~= item[3]) or (item[2] == '0' and there) then return { 'conflict' } end
end

-- 3. The counters, by HINCRBY because Lua's numbers hold only 53 bits. It refuses what is no number, so it goes
--    first; what it did is undone when something later does not fit.
local undo = {}
local function refuse(field, reason)
  for name, text in pairs(undo) do
    if text then redis.call('HSET', key, name, text) else redis.call('HDEL', key, name) end
  end
  return { 'invalid', field, reason }
end
local sums = {}
for _, item in ipairs(added) do
  local name = item[1]
  if dropped[name] then
    undo[name] = dropped[name]
    redis.call('HDEL', key, name)
  end
  local answer = redis.pcall('HINCRBY', key, name, item[2])
  if type(answer) == 'table' and answer.err then
    if string.find(answer.err, 'overflow') then return refuse(name, 'overflow') end
    if string.find(answer.err, 'not an integer') then return refuse(name, 'number') end
    return answer
  end
  undo[name] = record[name] or dropped[name] or false
  -- the answer is exact as long as a number of Lua is
  local is_exact = answer > -MOST_EXACT and answer < MOST_EXACT
  sums[name] = is_exact and string.format('%.0f', answer) or redis.call('HGET', key, name)
end

-- 4. Does it fit? A session that is too large already may be changed, but not grow.
local more_fields, more_bytes = 0, 0
local function becomes(name, text)
  local was = record[name]
  more_fields = more_fields + (text and 1 or 0) - (was and 1 or 0)
  more_bytes = more_bytes + (text and #name + #text or 0) - (was and #name + #was or 0)
  record[name] = text
end
local writes, deletes = {}, {}
local function write(name, text)
  record[name] = text
  writes[#writes + 1] = name
  writes[#writes + 1] = text
end
local function delete(name)
  record[name] = nil
  deletes[#deletes + 1] = name
end
for name in pairs(dropped) do
  if not sums[name] then delete(name) end
end
for _, item in ipairs(set) do
  becomes(item[1], item[2])
  write(item[1], item[2])
end
for _, item in ipairs(removed) do
  becomes(item[1], nil)
  delete(item[1])
end
for name, text in pairs(sums) do becomes(name, text) end
if more_fields > 0 or more_bytes > 0 then
  local fields, bytes, is_reserved = 0, 0, reserved()
  for name, text in pairs(record) do
    if not is_reserved[name] then
      fields = fields + 1
      bytes = bytes + #name + #text
    end
  end
  if fields > max_fields then return refuse('session', 'fields') end
  if bytes > max_bytes then return refuse('session', 'bytes') end
end

-- 5. The secret. Once the browser has the new one, the grace of the previous one begins.
if new_secret ~= '' then
  write('secret_hash', new_secret)
  write('rotated_at', string.format('%d', math.floor(now / 1000)))
  if drop_previous or user then delete('previous_secret_hash') else write('previous_secret_hash', secret) end
  delete('previous_until')
elseif is_current and not plain and confirm and record.previous_secret_hash and not record.previous_until then
  write('previous_until', string.format('%d', math.ceil(now / 1000) + grace))
end

-- 6. The user, on the terms of this sign-in.
local function write_or_delete(name, text)
  if text ~= '' then write(name, text) else delete(name) end
end
if user then
  write('user_id', user)
  -- no time in the future, which would be recent for ever
  write('auth_time', string.format('%d', math.min(tonumber(ARGV[15]) or now, math.floor(now / 1000))))
  write_or_delete('device', ARGV[16])
  write_or_delete('ip', ARGV[17])
  new_idle = new_idle or tonumber(ARGV[13])
  expires_at = math.floor(now / 1000) + tonumber(ARGV[14])
end
if not plain and record.expires_at ~= string.format('%d', expires_at) then
  write('expires_at', string.format('%d', expires_at))
end

-- 7. The lifetime, last: whatever was written before it, the key has an expiry.
local function in_parts(command, items)
  -- Lua unpacks at most 8000 at once
  for i = 1, #items, 1000 do redis.call(command, key, unpack(items, i, math.min(i + 999, #items))) end
end
local ends = now + remaining
if touch or new_idle then
  local idle = whole_number(record.session_ttl, 9)
  if not idle or idle == 0 then idle = configured_idle end
  -- the absolute lifetime: the configured one, or more where a sign-in granted more
  local since = not plain and whole_number(record.auth_time, 11)
  since = since or (created_at or from_iso(record.created_at) or now) / 1000
  idle = math.min(new_idle or idle, math.max(absolute, math.floor(expires_at - since)))
  write('last_accessed_at', to_iso(now))
  write('session_ttl', string.format('%d', idle))
  ends = now + idle * 1000
end
in_parts('HDEL', deletes)
in_parts('HSET', writes)
-- Whatever is written, the key and its expiry stay: no field of ours is ever the last to be removed. TIME and PTTL may be
-- a millisecond apart.
if touch or new_idle or ends > expires_at * 1000 + 2 then
  redis.call('PEXPIREAT', key, math.min(ends, expires_at * 1000))
end
return done(record, now)
