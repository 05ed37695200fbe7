-- Rate limits by GCRA: each request takes the time that it has a right to, window / max.
--
-- Up to `max` requests pass at once; what was used comes back evenly, one request each window / max.
--
-- KEYS     one per limit, all of one id: "<prefix>:gcra:<max>/<window>:<id>", e.g.
--          "rate_limit:gcra:100/60000000:user:1000"; `window` in microseconds, no "/" in the prefix
-- ARGV[1]  "take"    counts a request, if all limits let it pass; otherwise counts nothing in any
--          "peek"    counts nothing
--          "refund"  gives back what was taken, never more than the full quota
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
-- Value    "<us>:<num>": when all that was taken is paid back, us + num / max microseconds since 1970 by
--          the server's clock. Exact for ever, whatever max and window are.
--          Any other string counts as none.
-- Expiry   as soon as the full quota is back.
--
-- Promise  in any time t at most max * (1 + t / window) requests pass. If the server's clock goes back,
--          a time more than a window away is taken for one window away: none is refused for longer.
-- Errors   WRONGTYPE if a key holds something else. A call that is repeated may count twice.

local op, cost = ARGV[1], tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])

local function normal(us, num, max)
  return us + math.floor(num / max), num % max
end

local function load(key, max, window)
  local limit = {key = key, max = max, us = now, num = 0}
  limit.step, limit.part = math.floor(window / max), window % max
  local us, num = string.match(redis.call('GET', key) or '', '^(%d+):(%d+)$')
  us, num = tonumber(us), tonumber(num)
  if us then
    if us > now + window or (us == now + window and num > 0) then
      us, num, limit.changed = now + window, 0, true
    end
    if us >= now then
      limit.us, limit.num = us, num
    end
  end
  limit.horizon = now + window
  return limit
end

-- How far the time of `count` more requests reaches beyond the horizon, in microseconds, rounded up;
-- 0 or less if they fit.
local function excess(limit, count)
  local us, num = normal(
    limit.us + count * limit.step, limit.num + count * limit.part, limit.max)
  us = us - limit.horizon
  return num > 0 and us + 1 or us
end

local function remaining(limit)
  local each = limit.step + limit.part / limit.max
  local free = limit.horizon - limit.us - limit.num / limit.max
  local count = math.max(0, math.floor(free / each)) -- may be one off: it is rounded
  while count > 0 and excess(limit, count) > 0 do
    count = count - 1
  end
  while excess(limit, count + 1) <= 0 do
    count = count + 1
  end
  return count
end

local function move(limit, count)
  limit.us, limit.num = normal(
    limit.us + count * limit.step, limit.num + count * limit.part, limit.max)
  if limit.us < now then
    limit.us, limit.num = now, 0
  end
  limit.changed = true
end

local limits, passes = {}, 1
for i, key in ipairs(KEYS) do
  limits[i] = load(key, tonumber(ARGV[2 * i + 1]), tonumber(ARGV[2 * i + 2]))
  if op == 'refund' then
    move(limits[i], -cost)
  end
  if excess(limits[i], cost) > 0 then
    passes = 0
  end
end

local reply = {passes}
for _, limit in ipairs(limits) do
  local retry_after = 0
  if op == 'take' and passes == 1 then
    move(limit, cost)
  else
    retry_after = math.max(0, excess(limit, cost))
  end
  local reset_after = limit.us - now + (limit.num > 0 and 1 or 0)
  if limit.changed and reset_after == 0 then
    redis.call('DEL', limit.key)
  elseif limit.changed then -- a millisecond more than needed: the expiry's clock may be behind TIME
    redis.call('SET', limit.key, string.format('%.0f:%.0f', limit.us, limit.num),
      'PX', string.format('%.0f', math.ceil(reset_after / 1000) + 1))
  end
  reply[#reply + 1] = remaining(limit)
  reply[#reply + 1] = reset_after
  reply[#reply + 1] = retry_after
end
return reply
