from __future__ import annotations

import asyncio
from typing import cast

import pytest

from sahool_cache.address import Address
from sahool_cache.connection.borrowed import Borrowed
from sahool_cache.connection.faults import LaneLost
from sahool_cache.connection.handshake import ManagedConnection
from sahool_cache.connection.pool import ExclusivePool
from tests.unit.clock import settle, virtual
from tests.unit.wires import FakeWire, lane_on


class Place:
    """
    A pool, and the one connection that it lends.
    """

    def __init__(self) -> None:
        self.wire = FakeWire()
        self.lane = lane_on(self.wire)
        self.taken_back = 0

    def give_back(self, _connection: object) -> None:
        self.taken_back += 1

    def cut(self) -> None:
        pass

    def lend(self) -> Borrowed:
        pool, connection = cast("ExclusivePool", self), cast("ManagedConnection", self)
        return Borrowed(Address("h", 1), pool, connection)


@virtual
async def test_what_is_handed_back_is_somebody_elses() -> None:
    for end in ("give_back", "cut"):
        place = Place()
        borrowed = place.lend()
        getattr(borrowed, end)(*(["enough"] if end == "cut" else []))
        borrowed.cut("again")
        borrowed.give_back()
        assert place.taken_back == 1
        assert not borrowed.usable
        with pytest.raises(LaneLost) as lost:
            _ = borrowed.lane
        assert lost.value.sent is False


@virtual
async def test_a_last_command_is_not_waited_for() -> None:
    place = Place()
    place.lend().give_back_after(b"UNWATCH", within=1.0)
    assert place.taken_back == 0
    place.wire.feed(b"+OK\r\n")
    await settle()
    assert (place.taken_back, place.lane.lost) == (1, None)
    late = Place()
    late.lend().give_back_after(b"UNWATCH", within=1.0)
    await asyncio.sleep(1.1)
    assert (late.taken_back, late.lane.lost is None) == (1, False)
