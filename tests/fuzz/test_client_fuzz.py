"""
A whole client against a group that says anything at any time: every call ends in time, with the
right reply or a known error, and once the group is well again so is the client.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.exceptions import RedisError

from sahool_cache import RedisClient
from sahool_cache.address import Address
from sahool_cache.connection.faults import DialFailed
from sahool_cache.routing.sentinel_link import Channel
from sahool_cache.settings import RedisSettings
from sahool_cache.wiring.dialling import NetworkDialler
from tests.fuzz.garbage import BROKEN, BYTES, HOSTS, PORTS, TEXTS
from tests.fuzz.mischief import Group, Mischief, gathered
from tests.simulation.resp import Failure, encode

FEW = 10
CASES = int(os.environ.get("FUZZ_CASES", FEW))
"""250 take a minute, and are other ones each time."""

TIMEOUT = 0.4
SLACK = 0.35
"""Seconds that two busy cores may take beyond a call's budget."""

ENCODED = st.recursive(
    st.one_of(
        TEXTS, st.integers(), st.none(), TEXTS.map(lambda text: Failure(text.split("\n")[0]))
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
).map(encode)
ROWS = st.dictionaries(
    st.sampled_from(("ip", "port", "flags", "runid", "config-epoch", "quorum", "role", "id")),
    st.sampled_from((*HOSTS, *PORTS, "master", "s_down")),
)
OF_SENTINELS = st.one_of(
    ENCODED,
    BYTES,
    ROWS.map(encode),
    st.lists(ROWS, max_size=2).map(encode),
    st.tuples(st.sampled_from(HOSTS), st.sampled_from(PORTS)).map(encode),
)
PLACES = st.integers(0, 30)


HOWS = ("instead", "instead", "before", "after", "cut", "silence")


def planned(
    roles: tuple[str, ...], names: tuple[str, ...], data: Any, hows: tuple[str, ...] = HOWS
) -> st.SearchStrategy[Mischief]:
    return st.builds(
        Mischief,
        role=st.sampled_from(roles),
        name=st.sampled_from(names),
        how=st.sampled_from(hows),
        data=data,
        place=PLACES,
    )


TOPICS = ("MYID", "GET-MASTER-ADDR-BY-NAME", "MASTER", "REPLICAS", "SENTINELS")
SERVERS = ("master", "replica")
PLANS = st.lists(
    st.one_of(
        planned(("sentinel",), tuple(f"SENTINEL {topic}" for topic in TOPICS), OF_SENTINELS),
        planned(("sentinel",), ("HELLO", "CLIENT", "SUBSCRIBE", "PING"), OF_SENTINELS),
        # One reply more or less shifts all that follow, which nobody could tell: so these take
        # a whole answer's place, and of what holds data only bytes that are no reply do.
        planned(SERVERS, ("HELLO", "CLIENT", "INFO", "ROLE"), ENCODED, ("instead",)),
        planned(SERVERS, ("HELLO", "CLIENT", "INFO", "ROLE"), BROKEN),
        planned(SERVERS, ("GET", "SET", "BLPOP", "SUBSCRIBE"), BROKEN),
    ),
    min_size=1,
    max_size=5,
)


class LoopbackDialler(NetworkDialler):
    """
    Dials nobody outside: who is told an address of the internet must not call there.
    """

    async def sentinel(self, address: Address) -> Channel:
        refuse_strangers(address)
        return await super().sentinel(address)

    def server(self, address: Address) -> Any:
        dial, pool = super().server(address)

        async def dial_here(address: Address) -> Any:
            refuse_strangers(address)
            return await dial(address)

        return dial_here, pool


def refuse_strangers(address: Address) -> None:
    try:
        stranger = not ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        stranger = address.host not in HOSTS
    if stranger:
        raise DialFailed("a stranger")


class Calls:
    """
    Calls of many kinds, each with its right reply and its time.
    """

    def __init__(self, redis: RedisClient) -> None:
        self.redis = redis
        self.met: Counter[str] = Counter()

    async def make(self) -> None:
        redis, replica = self.redis, self.redis.replica
        await asyncio.gather(
            self.one(lambda: redis.get("k1"), "right k1"),
            self.one(lambda: redis.set("k2", "v2"), True),  # noqa: FBT003
            self.one(lambda: redis.pipeline(transaction=False).get("k3").get("k4").execute(),
                     ["right k3", "right k4"]),
            self.one(lambda: replica.get("k5"), "right k5"),
            self.one(lambda: redis.blpop(["l"], 0.1), ("l", "right element"), seconds=0.1),
            self.one(self.message, "right message"),
            self.one(redis.health_check, None),
        )  # fmt: skip

    async def message(self) -> Any:
        async with self.redis.pubsub(ignore_subscribe_messages=True) as subscription:
            await subscription.subscribe("c")
            for _ in range(2):
                said = await subscription.get_message(timeout=0.05)
                if said is not None:
                    return said["data"]
        return "right message"  # none in time: that is no wrong one

    async def one(
        self, call: Callable[[], Awaitable[Any]], right: Any, *, seconds: float = 0.0
    ) -> None:
        begun = time.monotonic()
        try:
            reply = await call()
        except RedisError as error:
            self.met[type(error).__name__] += 1
        else:
            assert right is None or reply == right
            self.met["reply"] += 1
        took = time.monotonic() - begun
        # Subscribing and reading have a budget each.
        assert took < 2 * TIMEOUT + seconds + SLACK, f"took {took:.2f} s"


async def ordeal(group: Group, plan: list[Mischief]) -> Counter[str]:
    """
    One client's life among these servers; what its calls met.
    """
    group.planned, group.done = list(plan), []
    facts = {"sentinels": [group.at["sentinel"]], "master_name": "m", "command_timeout": TIMEOUT}
    quick = {"socket_connect_timeout": 0.2, "socket_timeout": 0.3, "sentinel_timeout": 0.1}
    more = {"poll_interval": 0.2, "breaker_open_for": 0.1, "quiet_after": 0.1}
    made = RedisSettings.isolated(**facts, **quick, **more)
    async with RedisClient(made, dialler=LoopbackDialler(made), random=Random(1)) as redis:
        chain, calls = redis.chain, Calls(redis)
        await calls.make()
        await calls.make()
        group.planned = []
        deadline = time.monotonic() + 8
        while await status(redis) != "healthy":
            assert time.monotonic() < deadline, f"does not recover: {redis!r} {redis.stats()}"
            await asyncio.sleep(0.02)
        assert await redis.get("k9") == "right k9"
        assert redis.chain is chain, "the background tasks had failed"
    return calls.met


async def status(redis: RedisClient) -> str:
    return str((await redis.health_check())["status"])


@pytest.fixture
def loud(caplog: pytest.LogCaptureFixture) -> Any:
    """
    Fails a test in which anything was logged as an error, asyncio's own complaints among it.
    """
    with caplog.at_level(logging.ERROR):
        yield
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert not errors, errors[0].getMessage()


def suffer(examples: int, *, derandomize: bool = True) -> Counter[str]:
    met: Counter[str] = Counter()
    complaints: list[dict[str, Any]] = []

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        loop.set_exception_handler(lambda _loop, context: complaints.append(context))
        gathering = gathered()
        group = runner.run(gathering.__aenter__())

        @settings(
            max_examples=examples,
            deadline=None,
            derandomize=derandomize,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(PLANS)
        def endure(plan: list[Mischief]) -> None:
            met.update(runner.run(ordeal(group, plan)))
            met.update(f"{each.role} {each.name}" for each in group.done)
            assert complaints == []

        try:
            endure()
        finally:
            runner.run(gathering.__aexit__(None, None, None))
    return met


@pytest.mark.usefixtures("loud")
def test_every_call_ends_in_time_with_the_right_reply_or_a_known_error() -> None:
    met = suffer(CASES, derandomize=CASES == FEW)
    assert met["reply"] > 5 * CASES
    if CASES >= 250:
        for place in ("sentinel HELLO", "master HELLO", "master GET", "replica ROLE"):
            assert met[place] > 5, met
