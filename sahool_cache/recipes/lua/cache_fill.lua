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
-- ARGV[5]  "1": with nothing to store, what is stored is removed: there is a newer result, not to be kept
-- ARGV[6..] the versions of the tags that came with the lease
--
-- Replies with 1 if it was done, and with 0, changing nothing, if the token does not have the lease any
-- more, or a tag was invalidated: then the result may be older than an invalidation.
-- Repeated after it was done it replies 0, and changes nothing.

if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return 0
end
local current, nothing = 1, ARGV[2] == ''
for place = 3, #KEYS do
  if (redis.call('GET', KEYS[place]) or '') ~= ARGV[place + 3] then
    current = 0
  end
end
redis.call('DEL', KEYS[2])
if nothing and ARGV[5] == '1' then
  redis.call('DEL', KEYS[1])
elseif not nothing and current == 1 then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
local pauses = nothing and ARGV[3] ~= '0'
if pauses then
  redis.call('SET', KEYS[2], '-', 'PX', ARGV[3])
end
local heard = redis.pcall('PUBLISH', KEYS[2], '') -- the user may not be allowed to
if pauses and heard == 0 and ARGV[4] ~= '1' then
  redis.call('DEL', KEYS[2])
end
return current
