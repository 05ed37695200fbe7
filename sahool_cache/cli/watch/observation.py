"""
A client that does nothing but watch, and what is drawn of it.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from sahool_cache.address import Address
from sahool_cache.cli.servers import Servers
from sahool_cache.cli.survey import read_sections
from sahool_cache.cli.watch.course import Course, Entry
from sahool_cache.cli.watch.moment import Moment, moment
from sahool_cache.client import RedisClient
from sahool_cache.errors import UnavailableError
from sahool_cache.observers import EventStream
from sahool_cache.routing.topology import Topology
from sahool_cache.settings import RedisSettings

__all__ = ["Display", "observe"]

TICK = 0.25
RATES_EVERY = 1.0


class Display(Protocol):
    """
    Where the audience looks.
    """

    def note(self, note: Entry) -> None:
        """
        Tells what has just happened.
        """
        ...

    def show(self, frame: Moment) -> None:
        """
        Shows how everybody is doing now.
        """
        ...


async def observe(
    settings: RedisSettings, display: Display, course: Course, *, seconds: float | None
) -> tuple[dict[str, Any], Topology]:
    """
    The health at the end, and the topology; `seconds` of None never ends. Outages raise nothing.
    """
    redis = RedisClient(settings)
    rates: dict[Address, int] = {}
    tasks = (
        asyncio.create_task(_listen(redis.events(), course), name="watch: events"),
        asyncio.create_task(_measure(redis, rates), name="watch: rates"),
    )
    try:
        while seconds is None or course.elapsed < seconds:
            course.take_reason(await _reason(redis))
            course.take_incidents(redis.incidents())
            display.show(moment(redis, course, rates))
            left = TICK if seconds is None else min(TICK, max(0.0, seconds - course.elapsed))
            done, _ = await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            for task in done:  # the reader of our output has gone
                task.result()
        found = await redis.health_check()
        course.take_incidents(redis.incidents())
        return found, redis.topology
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await redis.aclose()


async def _reason(redis: RedisClient) -> str | None:
    try:
        await redis.wait_ready(0)
    except UnavailableError as error:
        return str(error)
    return None


async def _listen(events: EventStream, course: Course) -> None:
    async for event in events:
        course.take_event(event)


async def _measure(redis: RedisClient, rates: dict[Address, int]) -> None:
    """
    Asks each server how many commands it runs per second.
    """
    quick = redis.settings.model_copy(update={"socket_timeout": RATES_EVERY})
    async with Servers(quick) as servers:
        while True:
            topology = redis.topology
            members = [each for each in (topology.master, *topology.replicas) if each is not None]
            answers = await servers.ask_each(members, ("INFO", "stats"))
            rates.clear()
            for address, answer in answers.items():
                if isinstance(answer, list) and isinstance(answer[0], str):
                    stats = read_sections(answer[0]).get("stats", {})
                    rate = stats.get("instantaneous_ops_per_sec")
                    rates |= {address: rate} if isinstance(rate, int) else {}
            await asyncio.sleep(RATES_EVERY)
