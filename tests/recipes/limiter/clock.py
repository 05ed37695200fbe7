"""
A clock that the test sets, for the scripts on a real server.
"""

from __future__ import annotations

from hashlib import sha1

from sahool_cache import RedisClient
from sahool_cache.recipes.rate_limiter import RateLimiter
from sahool_cache.recipes.scripts import LuaScript

__all__ = ["VirtualClock"]

EPOCH = 1_764_000_000_123_456
"""Microseconds at which it begins: a number as long as those of a real clock."""

SHIM = """
local server = redis
local redis = {call = function(name, ...)
  local args = {...}
  local us = tonumber(server.call('GET', 'virtual:now'))
  if name == 'TIME' then
    return {string.format('%.0f', math.floor(us / 1000000)), string.format('%.0f', us % 1000000)}
  end
  local place = (name == 'SET' and 4) or (name == 'PEXPIRE' and 2)
  if place then -- real time must not end what lives in virtual time
    assert(name ~= 'SET' or args[3] == 'PX')
    server.call('HSET', 'virtual:expiry', args[1],
      string.format('%.0f', us + 1000 * tonumber(args[place])))
    args[place] = string.format('%.0f', tonumber(args[place]) + 86400000)
  end
  local reply = server.call(name, unpack(args))
  if (name == 'DEL' or name == 'LTRIM') and server.call('EXISTS', args[1]) == 0 then
    server.call('HDEL', 'virtual:expiry', args[1])
  end
  return reply
end}
"""


class VirtualClock:
    """
    Time as the limiter's script sees it, in microseconds; keys expire by it as well.
    """

    def __init__(self, redis: RedisClient) -> None:
        self.now = EPOCH
        self._redis = redis

    async def rules(self, limiter: RateLimiter) -> None:
        """
        Its script, to the letter, with another `TIME` in front of it.
        """
        script = LuaScript(limiter.algorithm)
        script.text = SHIM + script.text
        script.sha = sha1(script.text.encode()).hexdigest()  # noqa: S324
        limiter._script = script
        await self._redis.delete("virtual:expiry")
        await self.set(self.now)

    async def set(self, now: int) -> list[str]:
        """
        It is that time; the keys that have expired by now.
        """
        self.now = now
        await self._redis.set("virtual:now", str(now))
        expiries = await self.expiries()
        ended = [key for key, at in expiries.items() if at <= now]
        if ended:
            await self._redis.delete(*ended)
            await self._redis.hdel("virtual:expiry", *ended)
        return ended

    async def expiries(self) -> dict[str, int]:
        """
        When each key will expire.
        """
        found = await self._redis.hgetall("virtual:expiry")
        return {key: int(at) for key, at in found.items()}
