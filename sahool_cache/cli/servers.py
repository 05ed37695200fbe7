"""
The servers of a group one by one, past the client's own judgement of them.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Iterable
from typing import Any, Self

from sahool_cache.address import Address
from sahool_cache.connection.faults import DialFailed, LaneLost
from sahool_cache.connection.packing import pack
from sahool_cache.connection.pool import ExclusivePool
from sahool_cache.routing.sentinel_link import Channel
from sahool_cache.settings import RedisSettings
from sahool_cache.wiring.dialling import NetworkDialler

__all__ = ["Command", "Servers", "Unanswered", "pairs", "read_info", "reason"]

Command = tuple[str, ...]

Unanswered = (DialFailed, LaneLost, ConnectionError, TimeoutError)
"""What asking raises where a server gives no answer; the text says why."""

_NO_CONNECTION = re.compile(r"Error (-?\d+) connecting to \S+\. (.*)\.")


class Servers:
    """
    Connections to single servers and sentinels, with the settings' credentials and TLS, opened
    when first asked; ``async with`` closes them.

    Addresses are the reachable ones, as in `RedisClient.topology`.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self._dialler = NetworkDialler(settings.model_copy(update={"decode_responses": True}))
        self._timeout = settings.socket_timeout
        self._pools: dict[Address, ExclusivePool] = {}
        self._sentinels: dict[Address, Channel] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        for pool in self._pools.values():
            pool.close("done")
        for channel in self._sentinels.values():
            channel.abort("done")

    async def ask(self, server: Address, *commands: Command) -> list[Any]:
        """
        A server's replies in order, errors among them; one round trip. Raises `Unanswered`.
        """
        pool = self._pools.get(server)
        if pool is None:
            made = self._dialler.server(server)[1]
            if made is None:
                raise DialFailed("no connections here")
            pool = self._pools[server] = made
        async with asyncio.timeout(self._timeout):
            connection = await pool.borrow()
            try:
                lane = connection.lane
                if lane is None:
                    raise LaneLost("cut", sent=False)
                packed = [pack(command) for command in commands]
                return await lane.submit_group(packed, len(packed))
            finally:
                pool.give_back(connection)

    async def ask_sentinel(self, sentinel: Address, *commands: Command) -> list[Any]:
        """
        The same of a sentinel.
        """
        async with asyncio.timeout(self._timeout):
            channel = await self._channel(sentinel)
            try:
                return [_decoded(reply) for reply in await channel.ask(commands)]
            except BaseException:  # it is lost, or owes a reply: the next question gets a new one
                channel.abort("not asked again")
                self._sentinels.pop(sentinel, None)
                raise

    async def listen(self, sentinel: Address, heard: Callable[[str, str], None]) -> None:
        """
        Calls ``heard(event, text)`` for each event of that sentinel, from now on; raises
        redis-py's `ResponseError` where the ACL forbids it.
        """
        async with asyncio.timeout(self._timeout):
            await (await self._channel(sentinel)).listen(heard)

    async def _channel(self, sentinel: Address) -> Channel:
        channel = self._sentinels.get(sentinel)
        if channel is None:
            channel = self._sentinels[sentinel] = await self._dialler.sentinel(sentinel)
        return channel

    async def ask_each(
        self, servers: Iterable[Address], *commands: Command
    ) -> dict[Address, list[Any] | str]:
        """
        The replies of several servers, asked at once; of one that does not answer, why not.
        """
        return await self._each(self.ask, servers, commands)

    async def ask_each_sentinel(
        self, sentinels: Iterable[Address], *commands: Command
    ) -> dict[Address, list[Any] | str]:
        """
        The same of several sentinels.
        """
        return await self._each(self.ask_sentinel, sentinels, commands)

    @staticmethod
    async def _each(
        question: Any, addresses: Iterable[Address], commands: tuple[Command, ...]
    ) -> dict[Address, list[Any] | str]:
        async def told(address: Address) -> list[Any] | str:
            try:
                return list(await question(address, *commands))
            except Unanswered as error:
                return str(error) or "no answer in time"

        addresses = tuple(addresses)
        answers = await asyncio.gather(*map(told, addresses))
        return dict(zip(addresses, answers, strict=True))


def reason(why: object) -> str:
    """
    Why there is no answer, in the system's words where redis-py wraps them.
    """
    found = _NO_CONNECTION.fullmatch(str(why))
    if found is None:
        return str(why)
    number, words = int(found[1]), found[2]
    # Of TLS, and of names, the numbers are not the system's.
    return os.strerror(number).lower() if words.startswith("Connect call failed") else words


def read_info(reply: Any) -> dict[str, str]:
    """
    The fields of an INFO reply; none if it was an error.
    """
    if isinstance(reply, Exception):
        return {}
    lines = (line.partition(":") for line in str(reply).splitlines() if not line.startswith("#"))
    return {name: value.strip() for name, colon, value in lines if colon}


def pairs(reply: Any) -> dict[str, Any]:
    """
    A reply of names and values, as the map that it stands for; none if it was an error.
    """
    if isinstance(reply, list):
        return dict(zip(reply[::2], reply[1::2], strict=False))
    return reply if isinstance(reply, dict) else {}


def _decoded(reply: Any) -> Any:
    # A channel of the watcher's gives bytes: it looks at few of them.
    match reply:
        case bytes():
            return reply.decode("utf-8", "replace")
        case list():
            return [_decoded(each) for each in reply]
        case dict():
            return {_decoded(name): _decoded(value) for name, value in reply.items()}
    return reply
