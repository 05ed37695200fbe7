-- Takes a lock for a token, or says how long to wait. Gives a fence: a number that grows with each grant.
--
-- KEYS[1]  the lock, "lock:<name>": a string, the token of its holder, with a time to live
-- KEYS[2]  the counter of fences, "lock-fence": one hash for all locks of a prefix, never expires
-- KEYS[3]  "lock-released:<token>", where the token's release is remembered (lock_release.lua)
-- KEYS[4], KEYS[5]  only if fair: "lock-queue:<name>" and "lock-patience:<name>", sorted sets of the
--          tokens that wait, by their place in the queue and by the moment until which they count
--
-- ARGV[1]  token: unguessable, another one for each acquisition
-- ARGV[2]  lease in ms, from now
-- ARGV[3]  Sentinel's config-epoch of the master that runs this, a decimal number below 2^21
-- ARGV[4]  "", or the server of a reply -1: its epoch has been asked of the sentinels since
-- ARGV[5], ARGV[6]  only if fair: patience in ms, 0 to ask once and not to queue; the channel, see below
--
-- Reply  {fence, 0, 0}      held until the lease ends. A token that holds it already gets a new, higher
--                           fence and a new lease: the call may be repeated.
--        {0, pttl, ahead}   refused, nothing changed (but the place in the queue). `pttl`: ms that the
--                           holder has left, -1 without end, -2 nobody holds it; `ahead`: waiters in front.
--        {-1, server}       nothing changed: there is no counter, or another server gave the last fence and
--                           the epoch is not newer. Ask the sentinels, and repeat with ARGV[4] = server.
--
-- Fences are integers below 2^53: the larger of the last one + 1 and epoch * 2^32. A master that was
-- promoted without the newest counter goes on above it all the same, since its epoch is higher.
-- Fair: the first in the queue is woken by PUBLISH "<channel>:<token>" when the lock is free.
-- Errors: WRONGTYPE where a key is something else; FENCE where no higher number can be given.

local token = ARGV[1]
local holder = redis.call('GET', KEYS[1])
if redis.call('EXISTS', KEYS[3]) == 1 then  -- a copy of the call that was late: it was given back since
  return {0, -2, 0}
end

local epoch = tonumber(ARGV[3])
local last = redis.call('HMGET', KEYS[2], 'fence', 'server')
local given = tonumber(last[1] or '0')
if not given or given < 0 or given ~= math.floor(given) then
  return redis.error_reply('FENCE the counter is no number')
end
local fence = math.max(given + 1, epoch * 4294967296)
if fence >= 9007199254740992 then
  return redis.error_reply('FENCE the numbers are used up, or the epoch is out of range')
end

if holder and holder ~= token and #KEYS == 3 then
  return {0, redis.call('PTTL', KEYS[1]), 0}
end

-- Whose number stands in the counter? A promoted or restarted server has another replication id.
local info = redis.pcall('INFO', 'replication')  -- an error where the ACL forbids it
local server = type(info) == 'string' and info:match('master_replid:(%x+)') or ''
local begun = last[2] and (last[2] == server or epoch > math.floor(given / 4294967296))
if not begun and server ~= '' and server ~= ARGV[4] then
  return {-1, server}
end

if #KEYS > 3 then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  for _, dead in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', now)) do
    redis.call('ZREM', KEYS[4], dead)
    redis.call('ZREM', KEYS[5], dead)
  end
  local head = redis.call('ZRANGE', KEYS[4], 0, 0)[1]
  if holder ~= token and (holder or (head and head ~= token)) then
    local ahead = 0
    if tonumber(ARGV[5]) > 0 then
      local tail = redis.call('ZRANGE', KEYS[4], -1, -1, 'WITHSCORES')
      local place = math.max(time[1] * 1000000 + time[2], tonumber(tail[2] or '0') + 1)
      redis.call('ZADD', KEYS[4], 'NX', string.format('%.0f', place), token)
      redis.call('ZADD', KEYS[5], string.format('%.0f', now + ARGV[5]), token)
      redis.call('PEXPIRE', KEYS[4], ARGV[5])
      redis.call('PEXPIRE', KEYS[5], ARGV[5])
      ahead = redis.call('ZRANK', KEYS[4], token)
    end
    if not holder then  -- the head may have become that just now
      redis.pcall('PUBLISH', ARGV[6] .. ':' .. head, '')
    end
    return {0, redis.call('PTTL', KEYS[1]), ahead}
  end
  redis.call('ZREM', KEYS[4], token)
  redis.call('ZREM', KEYS[5], token)
end

redis.call('SET', KEYS[1], token, 'PX', ARGV[2])
redis.call('HSET', KEYS[2], 'fence', string.format('%.0f', fence), 'server', server)
return {fence, 0, 0}
