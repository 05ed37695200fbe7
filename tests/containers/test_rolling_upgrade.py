"""
`compose/rolling-upgrade.sh`: a client that works all the time sees no error.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from random import Random
from uuid import uuid4

import pytest

from sahool_cache.cli.traffic.evidence import collect
from sahool_cache.cli.traffic.ledger import WRITES
from sahool_cache.cli.traffic.target import Ours
from sahool_cache.cli.traffic.traffic import Traffic
from sahool_cache.events import Event
from tests.containers.compose_group import CONTAINERS
from tests.containers.scripts import Scripts, open_scripts
from tests.docker import IMAGE, docker, has_image

pytestmark = [pytest.mark.container, pytest.mark.slow]

VALKEY = os.environ.get("VALKEY_IMAGE", "valkey/valkey:9")
SCRIPT = "rolling-upgrade.sh"


@pytest.fixture(scope="module")
def another_image() -> Iterator[str]:
    """
    Valkey, where it reads what the servers wrote that it replaces, or else the same image by
    another name and id.
    """
    version = docker("run", "--rm", "--network", "none", IMAGE, "redis-server", "--version")
    if has_image(VALKEY) and "v=7." in version:
        yield VALKEY
        return
    name = f"sahool-test:{uuid4().hex[:8]}"
    container = docker("create", "--network", "none", IMAGE)
    docker("commit", "--change", "LABEL upgraded=yes", container, name)
    docker("rm", container)
    yield name
    docker("rmi", name)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, another_image: str) -> Iterator[Scripts]:
    """
    They end before the other image does, which their containers have by then.
    """
    with open_scripts(tmp_path_factory.mktemp("checkout")) as run:
        yield run


class Silent:
    def on_event(self, event: Event) -> None:
        """
        Does nothing.
        """


def images() -> set[str]:
    return set(docker("inspect", "--format", "{{.Config.Image}}", *CONTAINERS).splitlines())


@pytest.mark.asyncio
async def test_all_six_are_replaced_and_no_call_fails(run: Scripts, another_image: str) -> None:
    group = run.group
    ours = Ours(group.settings(), Silent(), prefix="test")
    await ours.open()
    traffic = Traffic(ours, Random())
    try:
        traffic.start()
        done = await asyncio.to_thread(run, SCRIPT, "--yes", REDIS_IMAGE=another_image)
        assert done.returncode == 0, done.stderr
        assert list((group.directory.parent / "backup").glob("*.rdb")), "before the first step"
        assert images() == {another_image}
        await traffic.stop()
        ledger, master = traffic.ledger, ours.redis.topology.master
        assert master is not None
        assert master.port != 6379, "the first master has handed over"
        assert [each for each in ledger.calls if each.error is not None] == []

        async def ask(*command: str | int) -> object:
            return await asyncio.to_thread(group.ask, master.port, *map(str, command))

        evidence = await collect(ask, ours.prefix, ledger.calls)
        written = {(each.kind, each.number) for each in ledger.calls if each.kind in WRITES}
        assert len(written) > 1000
        assert written - evidence.present == set()
        assert evidence.doubled == set()
    finally:
        await traffic.aclose()

    again = await asyncio.to_thread(run, SCRIPT, "--yes", "--no-backup", REDIS_IMAGE=another_image)
    assert again.returncode == 0
    assert again.stdout.count(" is done") == len(CONTAINERS), "what is done is passed over"


def test_it_stops_before_the_first_step_where_it_could_not_go_on(run: Scripts) -> None:
    before = docker("inspect", "--format", "{{.Id}}", *CONTAINERS)
    for arguments, image, status, said in (
        (("--yes",), "", 64, "usage"),
        (("--sometimes",), IMAGE, 64, "usage"),
        ((), IMAGE, 64, "pass --yes"),
        (("--yes",), "sahool.invalid/none:1", 1, "there is no sahool.invalid/none:1"),
    ):
        done = run(SCRIPT, *arguments, REDIS_IMAGE=image)
        assert (done.returncode, done.stdout) == (status, ""), done.stderr
        assert said in done.stderr
    assert docker("inspect", "--format", "{{.Id}}", *CONTAINERS) == before
