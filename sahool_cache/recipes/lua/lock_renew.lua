-- Lets a token hold its lock for longer.
--
-- KEYS[1]  the lock
-- ARGV[1]  token
-- ARGV[2]  lease in ms, from now
--
-- Reply  1 it holds the lock until then; 0 it does not hold it: the lease had ended, or somebody else
--        has the lock, or what stands there is no lock. May be repeated.

if redis.pcall('GET', KEYS[1]) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
