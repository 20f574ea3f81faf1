-- How wrk loads an application. Each request carries the cookie of one of the sessions in a file, in turn.
--
--   wrk ... -s load.lua URL -- METHOD PATH COOKIES [ONCE [NEW_COOKIES]]
--
-- METHOD and PATH of every request; a %d in the path is the number of the cookie's line. COOKIES: a file with one
-- cookie a line; an empty line is a visitor without one. ONCE (`once`): each cookie is used a single time, and the time
-- runs from the first request to the last answer. NEW_COOKIES: where the cookies that the answers set are written, one
-- for each; an answer without one is an error.
--
-- The last line printed is JSON: requests, errors, seconds, and the latencies in microseconds.

local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } timespec;
  int clock_gettime(int clock, timespec *now);
  int getpid(void);
  int kill(int pid, int signal);
]]
local CLOCK_MONOTONIC, SIGINT = 1, 2

local threads = {}

function setup(thread)
  thread:set("part", #threads)
  table.insert(threads, thread)
  for _, each in ipairs(threads) do each:set("parts", #threads) end
end

local function seconds_now()
  local now = ffi.new("timespec")
  ffi.C.clock_gettime(CLOCK_MONOTONIC, now)
  return tonumber(now.seconds) + tonumber(now.nanoseconds) / 1e9
end

local requests, sent = {}, 0
-- wrk asks the first thread for one request to look at, which it does not send
local verifying = true

function init(args)
  local method, path, cookies = args[1], args[2], args[3]
  once, new_cookies = args[4] == "once", args[5]
  answered, refused, began, ended, jar = 0, 0, 0, 0, {}
  if once then response = settle end
  local line = 0
  for cookie in io.lines(cookies) do
    if line % parts == part then
      local headers = cookie ~= "" and { Cookie = cookie } or nil
      table.insert(requests, wrk.format(method, (path:gsub("%%d", line)), headers))
    end
    line = line + 1
  end
end

function request()
  if verifying and part == 0 then
    verifying = false
    return requests[1]
  end
  if once then
    if sent == 0 then began = seconds_now() end
    sent = sent + 1
    -- nothing is sent: the connection waits until the others are through
    return requests[sent] or ""
  end
  sent = sent % #requests + 1
  return requests[sent]
end

function settle(status, headers)
  answered = answered + 1
  local cookie = headers["set-cookie"]
  if status > 399 or (new_cookies and not cookie) then
    refused = refused + 1
  elseif new_cookies then
    table.insert(jar, cookie:match("^[^;]+"))
  end
  if answered == #requests then
    ended = seconds_now()
    wrk.thread:stop()
    -- wrk would sleep to the end of its duration; this is how it is told to stop
    if parts == 1 then ffi.C.kill(ffi.C.getpid(), SIGINT) end
  end
end

function done(summary, latency)
  local connection = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  local count, errors, seconds = summary.requests, connection + summary.errors.status, summary.duration / 1e6
  if threads[1]:get("once") then
    local first, last = math.huge, 0
    count, errors = 0, connection
    for _, thread in ipairs(threads) do
      count = count + thread:get("answered")
      errors = errors + thread:get("refused")
      first = math.min(first, thread:get("began"))
      last = math.max(last, thread:get("ended"))
    end
    seconds = last - first
  end
  write_cookies()
  print(string.format('{"requests":%d,"errors":%d,"seconds":%f,"p50_us":%d,"p99_us":%d}',
    count, errors, seconds, latency:percentile(50), latency:percentile(99)))
end

function write_cookies()
  local path = threads[1]:get("new_cookies")
  if not path then return end
  local file = assert(io.open(path, "w"))
  for _, thread in ipairs(threads) do
    for _, cookie in ipairs(thread:get("jar")) do file:write(cookie, "\n") end
  end
  file:close()
end
