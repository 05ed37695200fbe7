-- Removes an entry, and with it the right to store for whoever is loading it now: what was read before
-- the invalidation is not stored after it.
--
-- KEYS[1]  the entry
-- KEYS[2]  its lease, and the channel of its waiters
--
-- Replies with the number of entries that were removed, 0 or 1. May be repeated.

local removed = redis.call('DEL', KEYS[1])
redis.call('DEL', KEYS[2])
redis.pcall('PUBLISH', KEYS[2], '') -- who waits for that load begins one of its own
return removed
