-- Stores what was loaded under a lease, or ends the lease with nothing to store, and wakes the waiters.
--
-- KEYS[1]  the entry
-- KEYS[2]  its lease, and the channel of its waiters
-- KEYS[3..] the tags of the entry
-- ARGV[1]  the token that has the lease
-- ARGV[2]  what to store, or empty for nothing
-- ARGV[3]  how long it is stored, in milliseconds; with nothing to store, how long nobody else shall
--          wait for a load (the lease is "-" meanwhile): 0 for not at all
-- ARGV[4]  "1": that pause also where nobody is waiting
-- ARGV[5..] the versions of the tags that came with the lease
--
-- Replies with 1 if it was done, and with 0, changing nothing, if the token does not have the lease any
-- more, or a tag was invalidated: then the result may be older than an invalidation.
-- Repeated after it was done it replies 0, and changes nothing.

if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return 0
end
local current = 1
for place = 3, #KEYS do
  if (redis.call('GET', KEYS[place]) or '') ~= ARGV[place + 2] then
    current = 0
  end
end
if ARGV[2] ~= '' and current == 1 then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  redis.call('DEL', KEYS[2])
  redis.pcall('PUBLISH', KEYS[2], '') -- the user may not be allowed to
  return 1
end
redis.call('DEL', KEYS[2])
if ARGV[2] == '' and ARGV[3] ~= '0' then
  redis.call('SET', KEYS[2], '-', 'PX', ARGV[3])
end
local heard = redis.pcall('PUBLISH', KEYS[2], '')
if ARGV[2] == '' and ARGV[3] ~= '0' and ARGV[4] ~= '1' and heard == 0 then
  redis.call('DEL', KEYS[2])
end
return current
