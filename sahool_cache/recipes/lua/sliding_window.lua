-- Rate limits by a sliding window counter: the requests of this window, and those of the one before
-- in proportion to what of it is less than a window ago.
--
-- Windows follow one another from the first request on; after a pause they begin anew.
--
-- KEYS     one per limit, all of one id: "<prefix>:sliding_window:<max>/<window>:<id>", e.g.
--          "rate_limit:sliding_window:100/60000000:user:1000"; `window` in microseconds, no "/" in the
--          prefix
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
-- Value    "<start>:<current>:<previous>": when the window began, in microseconds since 1970 by the
--          server's clock, and the requests of it and of the one before.
--          Any other string counts as none.
-- Expiry   as soon as the full quota is back, two windows at the most.
--
-- Promise  in each window at most max requests pass, and in any time of that length less than 2 * max:
--          the one before is taken for even. If the server's clock goes back, the window begins anew
--          with what it has counted: none is refused for longer than two windows.
-- Errors   WRONGTYPE if a key holds something else. A call that is repeated may count twice.

local op, cost = ARGV[1], tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])

local function load(key, max, window)
  local limit = {key = key, max = max, window = window, start = now, current = 0, previous = 0}
  local start, current, previous = string.match(
    redis.call('GET', key) or '', '^(%d+):(%d+):(%d+)$')
  start, current, previous = tonumber(start), tonumber(current), tonumber(previous)
  if start then
    if start > now then
      start, limit.changed = now, true
    elseif now - start >= window then
      start, current, previous = start + window, 0, current
    end
    if now - start < window and current + previous > 0 then
      limit.start, limit.current, limit.previous = start, current, previous
    end
  end
  return limit
end

-- How long after its beginning a window has room for all of `previous` but `excess` requests,
-- rounded up: window * excess / previous, in numbers that stay exact.
local function since_start(limit, excess, previous)
  local part = (limit.window % previous) * excess
  return math.floor(limit.window / previous) * excess + math.ceil(part / previous)
end

-- How long until `count` more requests pass; 0 or less if they pass now.
local function wait(limit, count)
  local elapsed = now - limit.start
  local excess = limit.current + count - limit.max
  if excess > 0 then -- not before the next window, in which `current` is the previous one
    return limit.window - elapsed + since_start(limit, excess, limit.current)
  end
  excess = excess + limit.previous
  if excess <= 0 then
    return 0
  end
  return since_start(limit, excess, limit.previous) - elapsed
end

local function remaining(limit)
  local share = (limit.window - (now - limit.start)) / limit.window
  local count = math.floor(limit.max - limit.current - limit.previous * share)
  count = math.max(0, count) -- may be one off: it is rounded
  while count > 0 and wait(limit, count) > 0 do
    count = count - 1
  end
  while count < limit.max and wait(limit, count + 1) <= 0 do
    count = count + 1
  end
  return count
end

local function give_back(limit, count)
  local newest = math.min(count, limit.current)
  limit.current = limit.current - newest
  limit.previous = math.max(0, limit.previous - (count - newest))
  limit.changed = true
end

local limits, passes = {}, 1
for i, key in ipairs(KEYS) do
  limits[i] = load(key, tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2]))
  if op == 'refund' then
    give_back(limits[i], cost)
  end
  if wait(limits[i], cost) > 0 then
    passes = 0
  end
end

local reply = {passes}
for _, limit in ipairs(limits) do
  local retry_after = 0
  if op == 'take' and passes == 1 then
    limit.current, limit.changed = limit.current + cost, true
  else
    retry_after = math.max(0, wait(limit, cost))
  end
  local reset_after = 0
  if limit.current > 0 then
    reset_after = limit.start + 2 * limit.window - now
  elseif limit.previous > 0 then
    reset_after = limit.start + limit.window - now
  end
  if limit.changed and reset_after == 0 then
    redis.call('DEL', limit.key)
  elseif limit.changed then -- a millisecond more than needed: the expiry's clock may be behind TIME
    redis.call('SET', limit.key,
      string.format('%.0f:%.0f:%.0f', limit.start, limit.current, limit.previous),
      'PX', string.format('%.0f', math.ceil(reset_after / 1000) + 1))
  end
  reply[#reply + 1] = remaining(limit)
  reply[#reply + 1] = reset_after
  reply[#reply + 1] = retry_after
end
return reply
