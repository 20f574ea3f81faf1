-- Tries what the store sends and what its scripts call, in forms that change nothing: no key is there, or an argument is one
-- that the command refuses after the server has let it pass. It declares no key, so that any server of a cluster runs it:
-- whether a command is allowed is looked at before whether its key is here.
-- ARGV     1 a session's key that is not there · 2 such a key of a user's index
-- Answer   {name, ...}: the commands that are not allowed, and `~` where a key is not
local S, U = ARGV[1], ARGV[2]
local tried = {
  { 'TIME' },
  { 'HGETALL', S },
  { 'HMGET', S, 'created_at' },
  { 'HGET', S, 'created_at' },
  { 'PTTL', S },
  { 'HSET', S, 'a', 'b', 'a value is missing' },
  { 'HDEL', S, 'created_at' },
  { 'HINCRBY', S, 'a', 'no number' },
  { 'DEL', S },
  { 'PEXPIREAT', S, 1 },
  { 'ZADD', U, 'XX', 0, '' },
  { 'ZCOUNT', U, 0, '+inf' },
  { 'ZRANGE', U, 0, 0 },
  { 'ZRANGEBYSCORE', U, 0, '+inf' },
  { 'ZREVRANGEBYSCORE', U, '+inf', 0 },
  { 'ZREM', U, 'a' },
  { 'ZSCORE', U, 'a' },
}

-- The servers' versions say it in different words: "no permissions to run the 'hset' command", "to access one of the keys",
-- "can't run this command or subcommand", "can't access at least one of the keys". Memory that is full, a server that is no
-- primary or has too few replicas, and the like are no questions of rights.
local missing = {}
for _, command in ipairs(tried) do
  local answer = redis.pcall(unpack(command))
  local why = type(answer) == 'table' and answer.err
  if why and (string.find(why, 'permission') or string.find(why, 'The user executing the script')) then
    local is_about_key = string.find(why, 'access')
    missing[#missing + 1] = is_about_key and '~' or string.lower(command[1])
  end
end
return missing
