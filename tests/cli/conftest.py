"""
A command line as its users have it: a process, a group, an environment that names it.
"""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import pytest

from sahool_cache import RedisSettings
from sahool_cache.cli import main
from sahool_cache.embedded import EmbeddedSentinel
from tests.house import ROOT

__all__ = ["Cli", "calm_group", "cli", "environment", "here"]


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
    One group for all tests of a file, which leave it as they found it; it does not fail over,
    however busy the machine is.
    """
    group = EmbeddedSentinel(password="s3cret", down_after=60)
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
        "REDIS_ADDRESS_MAP": ",".join(f"{a}={b}" for a, b in settings.address_map.items()),
    }
    if settings.password is not None:
        told["REDIS_PASSWORD"] = settings.password.get_secret_value()
    return told


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Cli:
    """
    As `cli`, but in a thread of this process: quicker, where it is about what is said.
    """

    def run(
        *arguments: str,
        settings: RedisSettings | None = None,
        stdin: str | None = None,
        **variables: str,
    ) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as given, ThreadPoolExecutor(1) as thread:
            given.chdir(tmp_path)
            for name in [name for name in os.environ if name.startswith("REDIS_")]:
                given.delenv(name)
            for name, value in (environment(settings) | variables).items():
                given.setenv(name, value)
            given.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((stdin or "").encode())))
            status = thread.submit(main, arguments).result()
        told = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, status, told.out, told.err)

    return run
