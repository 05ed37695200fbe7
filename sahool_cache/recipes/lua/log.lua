-- Rate limits by a log of the requests that passed: exact, for as many entries as max.
--
-- KEYS     one per limit, all of one id: "<prefix>:log:<max>/<window>:<id>", e.g.
--          "rate_limit:log:100/60000000:user:1000"; `window` in microseconds, no "/" in the prefix
-- ARGV[1]  "take"    counts a request, if all limits let it pass; otherwise counts nothing in any
--          "peek"    counts nothing
--          "refund"  gives back what was taken last, never more than the full quota
-- ARGV[2]  cost: how many requests this one counts as; a whole number, 1 <= cost <= each max
-- ARGV[3]  max of KEYS[1], 1 to 10 000 000
-- ARGV[4]  window of KEYS[1] in microseconds, 1000 to 315 360 000 000 000 (ten years)
-- ARGV[5], ARGV[6]  those of KEYS[2], and so on
--
-- Reply    integers. The first is 1 if the request passes ("peek": if it would; "refund": if one more
--          of that cost would now), else 0; then three for each limit, after what was done:
--            remaining    requests that may pass at this moment
--            reset_after  microseconds until the full quota is back
--            retry_after  microseconds until a request of that cost passes if nobody else asks; else 0
-- Value    a list of at most max times, oldest first, one for each request (a request of cost 3 is
--          there three times): microseconds since 1970 by the server's clock. Ten bytes each.
-- Expiry   as soon as the full quota is back, a window at the most.
--
-- Promise  in no time of length `window` more than max requests pass. If the server's clock goes back,
--          what lies in the future is taken for now: none is refused for longer than one window.
-- Errors   WRONGTYPE if a key holds something else. A call that is repeated may count twice.

local op, cost = ARGV[1], tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])

local function at(limit, index)
  return tonumber(redis.call('LINDEX', limit.key, string.format('%.0f', index)))
end

-- How many entries are not later than `time`.
local function until_time(limit, time)
  local low, high = 0, limit.count
  while low < high do
    local middle = math.floor((low + high) / 2)
    if at(limit, middle) <= time then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

local function drop_oldest(limit, count)
  redis.call('LTRIM', limit.key, string.format('%.0f', count), '-1')
  limit.count = limit.count - count
end

local function drop_newest(limit, count)
  count = math.min(count, limit.count)
  redis.call('LTRIM', limit.key, '0', string.format('%.0f', -count - 1))
  limit.count = limit.count - count
end

local function append(limit, count)
  local time = string.format('%.0f', now)
  limit.count = limit.count + count
  while count > 0 do -- unpack takes a few thousand at most
    local some = {}
    for i = 1, math.min(count, 1000) do
      some[i] = time
    end
    redis.call('RPUSH', limit.key, unpack(some))
    count = count - #some
  end
end

local function load(key, max, window)
  local limit = {key = key, max = max, window = window, count = redis.call('LLEN', key)}
  if limit.count > 0 and at(limit, 0) <= now - window then
    drop_oldest(limit, until_time(limit, now - window))
  end
  if limit.count > 0 and at(limit, -1) > now then
    local future = limit.count - until_time(limit, now)
    drop_newest(limit, future)
    append(limit, future)
    limit.changed = true
  end
  return limit
end

-- How long until `count` more requests pass; 0 or less if they pass now.
local function wait(limit, count)
  local excess = limit.count + count - limit.max
  if excess <= 0 then
    return 0
  end
  return at(limit, excess - 1) + limit.window - now
end

local limits, passes = {}, 1
for i, key in ipairs(KEYS) do
  limits[i] = load(key, tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2]))
  if op == 'refund' then
    drop_newest(limits[i], cost)
    limits[i].changed = true
  end
  if wait(limits[i], cost) > 0 then
    passes = 0
  end
end

local reply = {passes}
for _, limit in ipairs(limits) do
  local retry_after = 0
  if op == 'take' and passes == 1 then
    append(limit, cost)
    limit.changed = true
  else
    retry_after = wait(limit, cost)
  end
  local reset_after = 0
  if limit.count > 0 then
    reset_after = at(limit, -1) + limit.window - now
  end
  if limit.changed and limit.count > 0 then -- a millisecond more: its clock may be behind TIME
    redis.call('PEXPIRE', limit.key, string.format('%.0f', math.ceil(reset_after / 1000) + 1))
  end
  reply[#reply + 1] = limit.max - limit.count
  reply[#reply + 1] = reset_after
  reply[#reply + 1] = retry_after
end
return reply
