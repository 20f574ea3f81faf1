-- How a record writes its times. Days since 1970 and back: https://howardhinnant.github.io/date_algorithms.html

local function days_of(year, month, day)
  if month <= 2 then year = year - 1 end
  local era = math.floor(year / 400)
  local year_of_era = year - era * 400
  local day_of_year = math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1
  local day_of_era = year_of_era * 365 + math.floor(year_of_era / 4) - math.floor(year_of_era / 100) + day_of_year
  return era * 146097 + day_of_era - 719468
end

local function date_of(days)
  days = days + 719468
  local era = math.floor(days / 146097)
  local day_of_era = days - era * 146097
  local year_of_era = math.floor((day_of_era - math.floor(day_of_era / 1460) + math.floor(day_of_era / 36524)
    - math.floor(day_of_era / 146096)) / 365)
  local day_of_year = day_of_era - (365 * year_of_era + math.floor(year_of_era / 4) - math.floor(year_of_era / 100))
  local shifted_month = math.floor((5 * day_of_year + 2) / 153)
  local day = day_of_year - math.floor((153 * shifted_month + 2) / 5) + 1
  local month = shifted_month < 10 and shifted_month + 3 or shifted_month - 9
  return year_of_era + era * 400 + (month <= 2 and 1 or 0), month, day
end

local OUR_ISO = '^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d%+00:00$'

-- Milliseconds as 2026-04-02T12:34:56.789+00:00.
local function to_iso(ms)
  local seconds = math.floor(ms / 1000)
  local year, month, day = date_of(math.floor(seconds / 86400))
  local rest = seconds % 86400
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03d+00:00', year, month, day,
    math.floor(rest / 3600), math.floor(rest / 60) % 60, rest % 60, ms % 1000)
end

-- Milliseconds of an ISO 8601 time with any offset, without one in UTC; nil for anything else.
local function from_iso(text)
  local year, month, day, hour, minute, rest =
    string.match(text or '', '^(%d%d%d%d)-(%d%d)-(%d%d)[T ](%d%d):(%d%d)(.*)$')
  if not year then return nil end
  year, month, day, hour, minute = tonumber(year), tonumber(month), tonumber(day), tonumber(hour), tonumber(minute)
  local second, after = string.match(rest, '^:(%d%d)(.*)$')
  local fraction, zone = string.match(after or '', '^%.(%d+)(.*)$')
  second, fraction, zone = tonumber(second or 0), fraction or '', zone or after or rest
  local offset = 0
  if zone ~= '' and zone ~= 'Z' then
    local sign, hours, minutes = string.match(zone, '^([+-])(%d%d):?(%d%d)$')
    if not sign then sign, hours = string.match(zone, '^([+-])(%d%d)$') end
    hours, minutes = tonumber(hours), tonumber(minutes or 0)
    if not sign or hours > 25 or minutes > 59 then return nil end
    offset = (hours * 60 + minutes) * (sign == '-' and -60 or 60)
  end
  local days = days_of(year, month, day)
  local _, same_month, same_day = date_of(days)
  if month ~= same_month or day ~= same_day then return nil end
  if hour > 23 or minute > 59 or second > 60 or #fraction > 9 then return nil end
  local seconds = days * 86400 + hour * 3600 + minute * 60 + math.min(second, 59) - offset
  if seconds < 0 then return nil end
  return seconds * 1000 + tonumber((fraction .. '000'):sub(1, 3))
end
