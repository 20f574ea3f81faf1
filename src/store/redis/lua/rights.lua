-- Tries commands, in forms that change nothing (rights.rs). It declares no key, so that any server of a cluster runs it: whether
-- a command is allowed is looked at before whether its key is here.
-- ARGV     commands, each with its arguments between spaces
-- Answer   {name, ...}: the commands that are not allowed, and `~` where a key is not
local missing = {}
for _, line in ipairs(ARGV) do
  local command = {}
  for word in string.gmatch(line, '%S+') do command[#command + 1] = word end
  local answer = redis.pcall(unpack(command))
  -- The servers' versions say it in different words: "no permissions to run the 'hset' command", "to access one of the keys",
  -- "can't run this command or subcommand", "can't access at least one of the keys". Memory that is full, a server that is
  -- no primary or has too few replicas, and the like are no questions of rights.
  local why = type(answer) == 'table' and answer.err or ''
  if string.find(why, 'permission') or string.find(why, 'The user executing the script') then
    missing[#missing + 1] = string.find(why, 'access') and '~' or command[1]
  end
end
return missing
