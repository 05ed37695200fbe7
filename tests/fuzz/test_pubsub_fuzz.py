from __future__ import annotations

import asyncio
from typing import Literal

import pytest

from sahool_cache import RedisClient
from sahool_cache.settings import RedisSettings
from tests.fuzz.mischief import Mischief, gathered


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["before", "instead"])
@pytest.mark.parametrize(
    "broken",
    [b"\0", b"hello\r\n", b"$-5\r\n", b"*x\r\n", b"-MOVED x\r\n"],
)
async def test_a_subscription_that_cannot_be_read_is_made_anew(
    broken: bytes, how: Literal["before", "instead"]
) -> None:
    async with gathered() as group:
        facts = {"sentinels": [group.at["sentinel"]], "master_name": "m", "poll_interval": 0.2}
        group.planned = [Mischief(role="master", name="SUBSCRIBE", how=how, data=broken)]
        async with RedisClient(RedisSettings.isolated(**facts)) as redis, redis.pubsub() as heard:
            await heard.subscribe("c")
            async with asyncio.timeout(10):
                while (said := await heard.get_message(timeout=1)) is None or said["data"] == 1:
                    pass
            assert said["data"] == "right message"
            assert group.planned == []


@pytest.mark.asyncio
async def test_a_message_that_is_no_text_costs_nobody_the_next_one() -> None:
    async with gathered() as group:
        binary = b">3\r\n+message\r\n+c\r\n$1\r\n\xff\r\n"
        group.planned = [Mischief(role="master", name="SUBSCRIBE", how="before", data=binary)]
        facts = {"sentinels": [group.at["sentinel"]], "master_name": "m"}
        async with RedisClient(RedisSettings.isolated(**facts)) as redis, redis.pubsub() as heard:
            await heard.subscribe("c")
            with pytest.raises(UnicodeDecodeError):
                await heard.get_message(timeout=3)
            assert (await heard.get_message(timeout=3))["type"] == "subscribe"
            assert (await heard.get_message(timeout=3))["data"] == "right message"
