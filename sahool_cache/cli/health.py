"""
``sahool-cache health``: whether the group can be used, for scripts and probes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing, suppress
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from sahool_cache.cli.answer import Answer, conclude, mark
from sahool_cache.cli.escapes import printable
from sahool_cache.cli.exit_status import ExitStatus
from sahool_cache.cli.options import AsJson, Url, Within, group_settings
from sahool_cache.client import RedisClient
from sahool_cache.errors import UnavailableError

__all__ = ["STATUS", "findings", "health", "settled_health", "shown"]

STATUS = {
    "healthy": ExitStatus.OK,
    "degraded": ExitStatus.DEGRADED,
    "unhealthy": ExitStatus.DOWN,
}
_LOOK_EVERY = 0.1


def health(*, url: Url = None, within: Within = 3.0, as_json: AsJson = False) -> int:
    """
    Checks the group, as a client sees it.

    The master has to answer, all sentinels with a quorum among them, and every
    replica has to keep up. Returns as soon as all of it holds, and after the
    time of --within in any case.
    """
    settings = group_settings(url, command_timeout=within)

    async def look() -> Answer:
        async with aclosing(RedisClient(settings)) as redis:  # opened by the first look
            found = await settled_health(redis, within)
        return Answer(document=found, told=shown(found), status=STATUS[found["status"]])

    return conclude(look(), as_json=as_json)


async def settled_health(redis: RedisClient, within: float) -> dict[str, Any]:
    """
    `RedisClient.health_check()` once all is well, or after that many seconds: a client that was
    opened a moment ago has not heard of everybody. Where the master is not to be had, ``why``.
    """
    until = asyncio.get_running_loop().time() + within
    found = await redis.health_check()
    with suppress(TimeoutError):
        async with asyncio.timeout_at(until):
            while found["status"] != "healthy":
                await asyncio.sleep(_LOOK_EVERY)
                found = await redis.health_check()
    if found["status"] == "unhealthy":
        try:
            await redis.wait_ready(0)
        except UnavailableError as error:
            found["why"] = str(error)
    return found


def shown(found: dict[str, Any]) -> RenderableType:
    """
    The result of a health check, a line to each finding.
    """
    lines = [Text.assemble(mark(status), " ", words) for status, words in findings(found)]
    return Group(*lines, *([Text(printable(found["why"]))] if "why" in found else []))


def findings(found: dict[str, Any]) -> Iterator[tuple[ExitStatus, str]]:
    """
    The findings of a health check, and how good or bad each is; the verdict is the first.
    """
    checks = found["checks"]
    yield STATUS[found["status"]], found["status"]
    alive = checks["master_ping"]
    said = "answers" if alive else "does not answer" if checks["master"] else "is not known"
    yield _or_down(alive), " ".join(filter(None, ("master", checks["master"], said)))
    breaker = checks["circuit_breaker"]
    yield _or_degraded(breaker == "closed"), f"its circuit breaker is {breaker}"
    if checks["provisional"]:
        yield ExitStatus.DEGRADED, "a failover is under way"
    sentinels = checks["sentinels"]
    all_answer = sentinels["answering"] == sentinels["known"] and sentinels["has_quorum"]
    words = f"{sentinels['answering']} of {sentinels['known']} sentinels answer"
    yield _or_degraded(all_answer), f"{words}, the quorum is {sentinels['quorum']}"
    for replica in checks["replicas"]:
        fit, lag = replica["in_rotation"], replica["lag"]
        behind = "" if lag is None else f", {lag:.1f} s behind"
        words = "keeps up" if fit else "is not fit to be read"
        yield _or_degraded(fit), f"replica {replica['address']} {words}{behind}"


def _or_down(well: bool) -> ExitStatus:
    return ExitStatus.OK if well else ExitStatus.DOWN


def _or_degraded(well: bool) -> ExitStatus:
    return ExitStatus.OK if well else ExitStatus.DEGRADED
