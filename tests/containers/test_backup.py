"""
`compose/backup_redis.sh` and `compose/restore_redis.sh` against the compose group.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sahool_cache import RedisClient
from tests.containers.compose_group import PASSWORD, ComposeGroup, compose_group, settings
from tests.house import ROOT

pytestmark = pytest.mark.container


@pytest.fixture(scope="module")
def group() -> Iterator[ComposeGroup]:
    with compose_group() as group:
        yield group


def script(name: str, directory: Path, *options: str) -> Any:
    env = os.environ | {"REDIS_PASSWORD": PASSWORD, "BACKUP_DIR": str(directory)}
    env |= {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [str(ROOT / "compose" / name), "--json", *options],
        capture_output=True,
        check=False,
        env=env,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert PASSWORD not in done.stderr + done.stdout
    return json.loads(done.stdout)


@pytest.mark.asyncio
async def test_what_was_backed_up_comes_back(group: ComposeGroup, tmp_path: Path) -> None:
    async with RedisClient(settings()) as redis:
        await redis.mset({f"backed up {n}": n for n in range(1000)})
        await redis.set("backed up", "then", ex=3600)
        await redis.wait(2, 10_000)
        taken = await asyncio.to_thread(script, "backup_redis.sh", tmp_path)
        assert (taken["role"], taken["master_name"]) == ("replica", "sahool-master")
        assert taken["server"] in {"127.0.0.1:6380", "127.0.0.1:6381"}, "through the address map"

        checked = await asyncio.to_thread(script, "restore_redis.sh", tmp_path, "--check")
        assert checked["sidecar"]["sha256"] == taken["sha256"]

        await redis.delete(*(f"backed up {n}" for n in range(1000)))
        await redis.set("backed up", "now")
        restored = await asyncio.to_thread(
            script, "restore_redis.sh", tmp_path, "--flush", "--yes", "--compare-all"
        )
        assert restored["copied"] == taken["keys"] == 1001
        assert (restored["confirmed"], restored["extra"]) == (2, 0)
        assert await redis.get("backed up") == "then"
        assert 3500 < await redis.ttl("backed up") <= 3600
        await redis.flushall()
