-- Makes a lease last, while its owner is still loading.
--
-- KEYS[1]  the lease
-- ARGV[1]  the token
-- ARGV[2]  how long it shall last from now, in milliseconds
--
-- Replies with 1, or with 0, changing nothing, if the token does not have the lease. May be repeated.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
