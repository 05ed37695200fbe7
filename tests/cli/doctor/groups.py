"""
A group in which the doctor finds nothing, and how it is looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from sahool_cache import RedisSettings
from sahool_cache.cli.doctor.checks import CHECKS
from sahool_cache.cli.doctor.diagnosis import Diagnosis, diagnose
from sahool_cache.cli.doctor.facts import Facts
from sahool_cache.cli.doctor.survey import survey
from sahool_cache.embedded import EmbeddedSentinel

__all__ = [
    "PASSWORD",
    "SENTINEL_PASSWORD",
    "look",
    "names",
    "until_found",
    "until_silent",
    "well_kept",
]

PASSWORD = "s3cret-of-servers"
SENTINEL_PASSWORD = "s3cret-of-sentinels"


def well_kept(config: Mapping[str, str] | None = None, **options: Any) -> EmbeddedSentinel:
    """
    Passwords everywhere, a limit to memory, something on disk, a bound on what a failover loses.
    """
    return EmbeddedSentinel(
        password=PASSWORD,
        sentinel_password=SENTINEL_PASSWORD,
        server_config={
            "busy-reply-threshold": 500,
            "enable-protected-configs": "yes",
            "maxmemory": "100mb",
            "min-replicas-to-write": 1,
            "save": "3600 1",
            **(config or {}),
        },
        **{"down_after": 5.0} | options,
    )


async def look(settings: RedisSettings) -> Facts:
    return await survey(settings, within=20)


def names(diagnosis: Diagnosis) -> set[str]:
    return {name for name, _ in diagnosis.findings}


async def until_found(settings: RedisSettings, *checks: str) -> Diagnosis:
    """
    The first diagnosis in which these checks, and maybe others, find something.
    """
    async with asyncio.timeout(40):
        while True:
            found = diagnose(await look(settings), CHECKS)
            if names(found) >= set(checks):
                return found
            await asyncio.sleep(0.05)


async def until_silent(settings: RedisSettings) -> Diagnosis:
    """
    The first diagnosis without findings: on a busy machine a sentinel may be in TILT for 30 s.
    """
    async with asyncio.timeout(50):
        while (found := diagnose(await look(settings), CHECKS)).findings:
            await asyncio.sleep(0.05)
    return found
