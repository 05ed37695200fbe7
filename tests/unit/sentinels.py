"""
A group of sentinels without a network: each tells what its own state says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import ResponseError

from sahool_cache.address import Address

__all__ = ["FakeChannel", "FakeSentinel", "FakeSentinels"]


@dataclass(eq=False)
class FakeSentinel:
    """
    One sentinel's view of the group `m`; `hung` ones accept and say nothing.
    """

    address: Address
    master: Address
    epoch: int = 1
    flags: str = "master"
    replicas: tuple[Address, ...] = ()
    peers: tuple[FakeSentinel, ...] = ()
    run_id: str = ""
    role: str = "sentinel"
    name: str = "m"
    down: bool = False
    hung: bool = False
    slow: float = 0.0
    deaf: bool = False
    lives: float = float("inf")
    channels: list[FakeChannel] = field(default_factory=list)
    dialled: int = 0
    asked: int = 0

    def __post_init__(self) -> None:
        self.run_id = self.run_id or f"id-{self.address}"

    def answer(self, command: tuple[str, ...]) -> Any:
        def row(address: Address, flags: str, **facts: str) -> dict[str, str]:
            return {"ip": address.host, "port": str(address.port), "flags": flags, **facts}

        match command:
            case ("PING",):
                return "PONG"
            case ("SENTINEL", "MYID"):
                return self.run_id
            case ("SENTINEL", _, name) if name != self.name:
                return ResponseError("No such master with that name")
            case ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", _):
                return [self.master.host, str(self.master.port)]
            case ("SENTINEL", "MASTER", _):
                facts = {"config-epoch": str(self.epoch), "quorum": "2"}
                return row(self.master, self.flags) | facts | {"down-after-milliseconds": "1000"}
            case ("SENTINEL", "REPLICAS", _):
                return [row(each, "slave") for each in self.replicas]
            case ("SENTINEL", "SENTINELS", _):
                others = [each for each in self.peers if each.run_id != self.run_id]
                return [row(each.address, "sentinel", runid=each.run_id) for each in others]
        return ResponseError("unknown command")

    def say(self, event: str, text: str) -> None:
        for channel in list(self.channels):
            if channel.heard is not None and not self.hung:
                channel.heard(event, text)

    def die(self) -> None:
        self.down = True
        for channel in list(self.channels):
            channel.abort("closed by the server")


class FakeChannel:
    """
    A connection to one of them.
    """

    def __init__(self, sentinel: FakeSentinel) -> None:
        self.role: str | None = sentinel.role
        self.lives = sentinel.lives
        self.heard: Callable[[str, str], None] | None = None
        self._sentinel = sentinel
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        sentinel.channels.append(self)

    async def ask(self, commands: tuple[tuple[str, ...], ...]) -> list[Any]:
        sentinel = self._sentinel
        if len(commands) > 1:
            sentinel.asked += 1
        await self._speak()
        return [sentinel.answer(command) for command in commands]

    async def _speak(self) -> None:
        if self._lost.done():
            raise ConnectionError(self._lost.result())
        wait = 3600.0 if self._sentinel.hung else self._sentinel.slow
        await asyncio.wait({self._lost}, timeout=wait)
        if self._lost.done():
            raise ConnectionError(self._lost.result())

    async def listen(self, heard: Callable[[str, str], None]) -> None:
        await self._speak()
        if self._sentinel.deaf:
            raise ResponseError("NOPERM no rights to subscribe")
        self.heard = heard

    async def wait_lost(self) -> str:
        return await asyncio.shield(self._lost)

    def abort(self, why: str) -> None:
        if not self._lost.done():
            self._lost.set_result(why)
        if self in self._sentinel.channels:
            self._sentinel.channels.remove(self)


class FakeSentinels:
    """
    Those who can be dialled.
    """

    def __init__(self, *sentinels: FakeSentinel) -> None:
        self.at = {sentinel.address: sentinel for sentinel in sentinels}

    async def dial(self, address: Address) -> FakeChannel:
        sentinel = self.at.get(address)
        if sentinel is not None:
            sentinel.dialled += 1
        await asyncio.sleep(0)
        if sentinel is None or sentinel.down:
            raise ConnectionRefusedError(f"nobody listens at {address}")
        return FakeChannel(sentinel)

    def know_one_another(self) -> None:
        for sentinel in self.at.values():
            sentinel.peers = tuple(self.at.values())
