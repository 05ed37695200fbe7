-- Asks for the right to load an entry: of many who miss it at once, one loads and the others wait.
--
-- KEYS[1]  the entry
-- KEYS[2]  its lease, which is also the channel on which its waiters are woken
-- KEYS[3..] the tags of the entry
-- ARGV[1]  a token of the caller's own, unguessable
-- ARGV[2]  how long the lease lasts, in milliseconds
-- ARGV[3]  the first 64 bytes of the entry as the caller has seen it; empty if there was none
-- ARGV[4]  "1" takes the lease whoever has it, whatever is stored
--
-- Replies with an array:
--   {"entry", <entry>, <version of each tag>...}  there is another entry than the one seen; nothing is leased
--   {"leased", <version of each tag>...}  load, and store with cache_fill; asked again with the token, the same
--   {"held", <milliseconds>}              another one loads; its lease lasts that long
--   {"paused", <milliseconds>}            the last one who loaded had nothing to store; ask again after that
-- A tag without a version, new or evicted, is given one with the lease: the token. In "entry" it is empty.
-- Changes nothing but the lease and that. May be repeated.

local function versions(reply, kept)
  for place = 3, #KEYS do
    local version = redis.call('GET', KEYS[place])
    if kept and version then
      redis.call('EXPIRE', KEYS[place], kept)
    elseif kept then
      version = ARGV[1]
      redis.call('SET', KEYS[place], version, 'EX', kept)
    end
    reply[#reply + 1] = version or ''
  end
  return reply
end

if ARGV[4] ~= '1' then
  local now = redis.pcall('GETRANGE', KEYS[1], 0, 63) -- of another type: no entry
  if type(now) == 'string' and now ~= '' and now ~= ARGV[3] then
    return versions({'entry', redis.call('GET', KEYS[1])})
  end
  local holder = redis.call('GET', KEYS[2])
  local left = redis.call('PTTL', KEYS[2])
  if holder and holder ~= ARGV[1] and left >= 0 then -- one that never ends is nobody's
    return {holder == '-' and 'paused' or 'held', left}
  end
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return versions({'leased'}, 2592000) -- 30 days: for longer than any entry with tags is kept
