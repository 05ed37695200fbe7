"""
`compose/backup_redis.sh` and `compose/restore_redis.sh` against the compose group.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sahool_cache import RedisClient
from tests.containers.compose_group import PASSWORD, ComposeGroup, compose_group, copy_compose
from tests.house import ROOT

pytestmark = pytest.mark.container


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """
    A group, and what the environment says to who takes backups of it, and to who restores them.
    """

    group: ComposeGroup
    taker: Mapping[str, str]
    restorer: Mapping[str, str]

    def script(self, name: str, said: Mapping[str, str], *options: str) -> Any:
        """
        What it prints as JSON.
        """
        here = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }
        done = subprocess.run(
            [str(self.group.directory / name), "--json", *options],
            capture_output=True,
            check=False,
            env=self.group.environment | here | said,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        assert said["REDIS_PASSWORD"] not in done.stderr + done.stdout
        return json.loads(done.stdout)


def login(user: str, password: str) -> dict[str, str]:
    return {
        "REDIS_USERNAME": user,
        "REDIS_PASSWORD": password,
        "REDIS_SENTINEL_USERNAME": user,
        "REDIS_SENTINEL_PASSWORD": password,
    }


@pytest.fixture(scope="module", params=["on", "off"], ids=["one password", "users only"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("checkout") / "compose"
    copy_compose(directory)
    if request.param == "on":
        password = {"REDIS_PASSWORD": PASSWORD}
        site = Site(group=ComposeGroup(directory=directory), taker=password, restorer=password)
    else:
        taker, restorer = login("sahool-backup", "its own"), login("sahool-admin", "another")
        variables = {
            "REDIS_DEFAULT_USER": "off",
            "REDIS_BACKUP_PASSWORD": taker["REDIS_PASSWORD"],
            "REDIS_ADMIN_PASSWORD": restorer["REDIS_PASSWORD"],
        }
        client = {name.removeprefix("REDIS_").lower(): said for name, said in restorer.items()}
        admin = {name: client[name] for name in ("username", "password")}
        group = ComposeGroup(directory=directory, variables=variables, client=client, admin=admin)
        site = Site(group=group, taker=taker, restorer=restorer)
    with compose_group(site.group):
        yield site


@pytest.mark.asyncio
async def test_what_was_backed_up_comes_back(site: Site, tmp_path: Path) -> None:
    place = {"BACKUP_DIR": str(tmp_path)}

    def backup() -> Any:
        return site.script("backup_redis.sh", site.taker | place)

    def restore(*options: str) -> Any:
        return site.script("restore_redis.sh", site.restorer | place, *options)

    async with RedisClient(site.group.settings()) as redis:
        await redis.mset({f"backed up {n}": n for n in range(1000)})
        await redis.set("backed up", "then", ex=3600)
        await redis.wait(2, 10_000)
        taken = await asyncio.to_thread(backup)
        assert (taken["role"], taken["master_name"]) == ("replica", "sahool-master")
        assert taken["server"] in {"127.0.0.1:6380", "127.0.0.1:6381"}, "through the address map"

        checked = await asyncio.to_thread(restore, "--check")
        assert checked["sidecar"]["sha256"] == taken["sha256"]

        await redis.delete(*(f"backed up {n}" for n in range(1000)))
        await redis.set("backed up", "now")
        restored = await asyncio.to_thread(restore, "--flush", "--yes", "--compare-all")
        assert restored["copied"] == taken["keys"] == 1001
        assert (restored["confirmed"], restored["extra"]) == (2, 0)
        assert await redis.get("backed up") == "then"
        assert 3500 < await redis.ttl("backed up") <= 3600
    assert site.group.refusals() == []
