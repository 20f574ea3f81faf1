-- Changes a session, if it is still what the change was planned for.
-- KEYS[1]  the session
-- ARGV     1 the server's time that was planned with, ms · 2 whether it is a plain token, 1 or 0
--          3 the last access as it was seen · 4 whether nothing but the access moves the end, 1 or 0 · 5 the end as seen, ms
--          6 the new end, ms ('' = unchanged) · 7, 8 how many bytes and fields of the application there may be afterwards, if
--          they become more ('' = any); without 7, 8 is how many fields of all kinds there may be now;
--          then five lists, the first four with their length first: equal (all names, then all texts) · absent (name)
--          added (name, by) · removed (name) · set (name, text), which begins with the last access if there is a new one
-- Answer   {now, 'done', sum, ...} · {now, 'later'}: that time is too long ago
--          {now, 'other', what is left of its life in ms, packed name, text, ...}: it is something else by now
local key, argv, now = KEYS[1], ARGV, now_ms()
if is_stale(argv[1], now) then return { now, 'later' } end
local function other()
  local stored = of_hash('HGETALL', key) or {}
  return { now, 'other', redis.call('PTTL', key), cmsgpack.pack(stored) }
end

-- 1. Is it still what the change rests on?
local equal = 9
local absent = equal + 1 + 2 * argv[equal]
local added = absent + 1 + argv[absent]
local removed = added + 1 + 2 * argv[added]
local set = removed + argv[removed]
local names = { 'last_accessed_at', unpack(argv, equal + 1, equal + argv[equal]) }
for i = absent + 1, added - 1 do names[#names + 1] = argv[i] end
local counters = #names
for i = added + 1, removed - 1, 2 do names[#names + 1] = argv[i] end
local found = of_hash('HMGET', key, unpack(names))
if not found then return other() end
for i = 1, tonumber(argv[equal]) do
  if found[i + 1] ~= argv[equal + argv[equal] + i] then return other() end
end
for i = 2 + argv[equal], counters do
  if found[i] then return other() end
end
-- a foreign key without an expiry is no session
if argv[2] == '1' and redis.call('PTTL', key) <= 0 then return other() end
if argv[7] == '' and argv[8] ~= '' and #redis.call('HGETALL', key) > 2 * argv[8] then return other() end
if argv[7] ~= '' then
  local own, reserved = {}, reserved_names(argv[2])
  local function put(name, length)
    if not reserved[name] then own[name] = length end
  end
  local function size()
    local fields, bytes = 0, 0
    for name, length in pairs(own) do fields, bytes = fields + 1, bytes + #name + length end
    return fields, bytes
  end
  local stored = redis.call('HGETALL', key)
  for i = 1, #stored, 2 do put(stored[i], #stored[i + 1]) end
  local fields, bytes = size()
  for i = set + 1, #argv, 2 do put(argv[i], #argv[i + 1]) end
  for i = removed + 1, set do put(argv[i], nil) end
  for i = 1, tonumber(argv[added]) do
    local sum = (tonumber(found[counters + i]) or 0) + argv[added + 2 * i]
    -- beyond 2^53 a number of Lua is not exact: it may seem to be a digit shorter than it is, but never longer
    put(argv[added + 2 * i - 1], #string.format('%.0f', sum * (1 - 2 ^ -52)))
  end
  local fields_after, bytes_after = size()
  local grows = fields_after > fields or bytes_after > bytes
  if grows and (fields_after > tonumber(argv[8]) or bytes_after > tonumber(argv[7])) then return other() end
end
-- a touch that comes late does not take back what a later one has given
local last, new_end = found[1], argv[6]
if argv[4] == '1' and last and last ~= argv[3] and last > argv[set + 2] then
  set, new_end = set + 2, ''
end

-- 2. Everything or nothing: what the server refuses half-way is undone.
local sums, extended = {}, false
-- Lua unpacks at most 8000 at once
local function in_parts(command, first, last)
  for i = first, last, 1000 do redis.call(command, key, unpack(argv, i, math.min(i + 999, last))) end
end
local function write()
  if new_end ~= '' then
    redis.call('PEXPIREAT', key, new_end)
    extended = true
    -- it may have just ended by this, and what is gone is not written to
    if new_end - now < 1000 and redis.call('PTTL', key) <= 0 then return true end
  end
  -- so that it is refused, if it is, before anything was written
  if argv[removed] ~= '0' then redis.call('HDEL', key, '') end
  -- by HINCRBY, because Lua's numbers hold only 53 bits
  for i = added + 1, removed - 1, 2 do
    sums[#sums + 1] = redis.call('HINCRBY', key, argv[i], argv[i + 1])
  end
  in_parts('HSET', set + 1, #argv)
  in_parts('HDEL', removed + 1, removed + argv[removed])
end
local function undo()
  for i = 1, #sums do
    local name, by = argv[added + 2 * i - 1], argv[added + 2 * i]
    if not found[counters + i] then
      redis.call('HDEL', key, name)
    elseif by ~= '0' then
      -- not by HSET, which may be what was refused
      if by == '-9223372036854775808' then redis.call('HINCRBY', key, name, 1); by = '-9223372036854775807' end
      redis.call('HINCRBY', key, name, string.sub(by, 1, 1) == '-' and string.sub(by, 2) or '-' .. by)
    end
  end
  if extended then redis.call('PEXPIREAT', key, argv[5]) end
end
local done, failure = pcall(write)
if done and failure then return other() end
if not done then
  undo()
  -- a counter has become something else, or would go too far: the application says which, as it reads it anew
  if string.find(failure, 'not an integer') or string.find(failure, 'overflow') then return other() end
  return redis.error_reply(failure)
end

-- 3. The sums. Beyond 2^53 a number of Lua is not exact.
for i, sum in ipairs(sums) do
  local is_exact = sum > -2 ^ 53 and sum < 2 ^ 53
  sums[i] = is_exact and string.format('%.0f', sum) or redis.call('HGET', key, argv[added + 2 * i - 1])
end
return { now, 'done', unpack(sums) }
