-- Gives a lock back, if the token holds it, and wakes who waits. Takes the token out of the queue.
--
-- KEYS[1]  the lock
-- KEYS[2]  "lock-released:<token>": remembers the release for a while
-- KEYS[3], KEYS[4]  only if fair: the queue and its patience, see lock_acquire.lua
--
-- ARGV[1]  token
-- ARGV[2]  ms for which this is remembered: in that time a repeat gives the same answer, and a call of
--          lock_acquire.lua with this token that arrives late takes nothing
-- ARGV[3]  channel: PUBLISH to it, or to "<channel>:<first in the queue>" if fair. A user who may not
--          publish releases all the same; waiters look again when the lease would have ended.
--
-- Reply  1 the token held the lock, and it is free now; 0 it did not hold it.

local held = redis.pcall('GET', KEYS[1]) == ARGV[1]
if held then
  redis.call('DEL', KEYS[1])
end
local released = (held or redis.call('GET', KEYS[2]) == '1') and 1 or 0
redis.call('SET', KEYS[2], released, 'PX', ARGV[2])

if #KEYS == 2 then
  if held then
    redis.pcall('PUBLISH', ARGV[3], '')
  end
  return released
end

redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now)) do
  redis.call('ZREM', KEYS[3], dead)
  redis.call('ZREM', KEYS[4], dead)
end
local head = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
if head and redis.call('EXISTS', KEYS[1]) == 0 then
  redis.pcall('PUBLISH', ARGV[3] .. ':' .. head, '')
end
return released
