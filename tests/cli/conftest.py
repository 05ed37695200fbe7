"""
A command line as its users have it: a process, a group, an environment that names it.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Protocol

import pytest

from sahool_cache import RedisSettings
from sahool_cache.embedded import EmbeddedSentinel
from tests.house import ROOT

__all__ = ["Cli", "calm_group", "cli", "environment"]


class Cli(Protocol):
    """
    Runs ``sahool-cache`` to its end against the group of those settings.
    """

    def __call__(
        self,
        *arguments: str,
        settings: RedisSettings | None = None,
        stdin: str | None = None,
        **variables: str,
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture(scope="module")
def calm_group() -> Iterator[EmbeddedSentinel]:
    """
    One group for all tests of a file, which leave it as they found it.
    """
    group = EmbeddedSentinel(password="s3cret")
    asyncio.run(group.open())  # a group is bound to no event loop
    yield group
    asyncio.run(group.aclose())


@pytest.fixture
def cli(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """
    In a directory without a ``.env``, and without the REDIS_* variables of the developer.
    """
    away = tmp_path_factory.mktemp("away")

    def run(
        *arguments: str,
        settings: RedisSettings | None = None,
        stdin: str | None = None,
        **variables: str,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "sahool_cache", *arguments],
            capture_output=True,
            check=False,
            cwd=away,
            env=environment(settings) | variables,
            input=stdin or "",
            text=True,
            timeout=120,
        )

    return run


def environment(settings: RedisSettings | None) -> dict[str, str]:
    """
    The environment of a process that works with this group, or with none.
    """
    told = {name: value for name, value in os.environ.items() if not name.startswith("REDIS_")}
    told["PYTHONPATH"] = str(ROOT)
    if settings is None:
        return told
    told |= {
        "REDIS_SENTINELS": ",".join(map(str, settings.sentinels)),
        "REDIS_MASTER_NAME": settings.master_name,
    }
    if settings.password is not None:
        told["REDIS_PASSWORD"] = settings.password.get_secret_value()
    return told
