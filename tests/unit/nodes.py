"""
A node on a network that answers as told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from sahool_cache.address import Address
from sahool_cache.connection.figures import LaneOptions
from sahool_cache.connection.node import Node
from tests.unit.wires import FakeWire

__all__ = ["HERE", "Network", "running"]

HERE = Address("h", 6379)


class Network:
    """
    Whom a node dials. `answer` says what comes of an attempt; `wires` are those that stand.
    """

    def __init__(self) -> None:
        self.wires: list[FakeWire] = []
        self.dialled_at: list[float] = []
        self.refusal: Exception | None = None
        self.takes = 0.0
        self.ended = 0
        self.make: Callable[[], FakeWire] = FakeWire

    async def dial(self, _address: Address) -> FakeWire:
        self.dialled_at.append(asyncio.get_running_loop().time())
        try:
            await asyncio.sleep(self.takes)
        except asyncio.CancelledError:
            self.ended += 1
            raise
        if self.refusal is not None:
            raise self.refusal
        wire = self.make()
        self.wires.append(wire)
        return wire

    @property
    def gaps(self) -> list[float]:
        return [b - a for a, b in zip(self.dialled_at, self.dialled_at[1:], strict=False)]


@asynccontextmanager
async def running(network: Network, **facts: Any) -> AsyncIterator[Node]:
    node = Node(
        HERE,
        dial=network.dial,
        options=facts.pop("options", LaneOptions(budget=1.0)),
        random=Random(1),
        **facts,
    )
    task = asyncio.create_task(node.run())
    try:
        yield node
    finally:
        node.close("test over")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
