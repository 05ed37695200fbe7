"""
Asking single servers and sentinels.
"""

from __future__ import annotations

import errno

import pytest

from sahool_cache.cli.servers import Servers, reason
from sahool_cache.embedded import EmbeddedSentinel

PING = ("PING",)
REFUSED = "connection refused"


@pytest.mark.asyncio
async def test_who_comes_back_is_asked_again() -> None:
    async with (
        EmbeddedSentinel(down_after=60) as group,
        Servers(group.settings.model_copy(update={"socket_timeout": 1.0})) as servers,
    ):
        server, sentinel = group.replicas[0], group.sentinels[0]

        async def replies() -> list[object]:
            told = await servers.ask_each([server.address], PING)
            said = await servers.ask_each_sentinel([sentinel.address], PING)
            return [told[server.address], said[sentinel.address]]

        async def until_both_answer() -> None:
            while await replies() != [["PONG"], ["PONG"]]:
                pass  # the test's own limit of time is the deadline

        await until_both_answer()
        for node in (server, sentinel):
            await group.kill(node)
        assert all(isinstance(each, str) for each in await replies()), "why not"
        for node in (server, sentinel):
            await group.restart(node)
        await until_both_answer()
        for node in (server, sentinel):
            await group.pause(node)
        assert all(isinstance(each, str) for each in await replies())
        for node in (server, sentinel):
            await group.resume(node)
        await until_both_answer()


@pytest.mark.parametrize(
    ("why", "told"),
    [
        (f"Error {errno.ECONNREFUSED} connecting to h:1. Connect call failed ('1', 1).", REFUSED),
        ("Error -2 connecting to h:1. Name or service not known.", "Name or service not known"),
        ("Error 1 connecting to h:1. [SSL] record layer failure.", "[SSL] record layer failure"),
        ("login refused", "login refused"),
        ("", ""),
    ],
)
def test_a_reason_is_told_in_the_words_of_the_system(why: str, told: str) -> None:
    assert reason(why) == told
