"""
The group of `compose/docker-compose.redis-ha.yml`, brought up for one module of tests.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

from sahool_cache import RedisSettings
from tests.docker import IMAGE, cannot_run, compose_command, docker, run
from tests.house import ROOT

FILE = ROOT / "compose" / "docker-compose.redis-ha.yml"
PASSWORD = """it's-"quoted"\\$HOME#1"""
SERVERS = tuple(f"sahool-redis-{name}" for name in ("master", "replica-1", "replica-2"))
SENTINELS = tuple(f"sahool-redis-sentinel-{n}" for n in (1, 2, 3))
PORTS = (6379, 6380, 6381, 26379, 26380, 26381)


class ComposeGroup:
    """
    Six containers in a Compose project of its own: nothing else is ever touched.
    """

    def __init__(self) -> None:
        self.project = f"sahool-test-{uuid4().hex[:8]}"

    def compose(self, *arguments: str) -> str:
        """
        What ``docker-compose ...`` prints. All variables are set: no `.env` has a say.
        """
        env = os.environ | {
            "REDIS_PASSWORD": PASSWORD,
            "REDIS_IMAGE": IMAGE,
            "REDIS_MASTER_NAME": "sahool-master",
            "REDIS_SUBNET": "172.16.79",
        }
        where = ("--project-name", self.project, "--file", str(FILE))
        return run(*compose_command(), *where, *arguments, env=env)

    def shell(self, container: str, command: str) -> str:
        """
        What a shell command prints that runs inside a container.
        """
        return docker("exec", container, "sh", "-c", command)

    def left(self) -> str:
        """
        The ids of what the project still has.
        """
        own = ("--quiet", "--filter", f"label=com.docker.compose.project={self.project}")
        lists = (("ps", "--all"), ("volume", "ls"), ("network", "ls"))
        return "".join(docker(*each, *own) for each in lists)


@contextmanager
def compose_group() -> Iterator[ComposeGroup]:
    """
    A group that is healthy, and whose sentinels know all of it. Leaves nothing behind.
    """
    _refuse_a_taken_place()
    group = ComposeGroup()
    try:
        group.compose("up", "--detach")
        _wait_until(_unhealthy, 90)
        _wait_until(lambda: _unaware(group), 60)
        yield group
    finally:
        group.compose("down", "--volumes", "--timeout", "1")
    assert not group.left()


def settings(**others: object) -> RedisSettings:
    """
    The settings of a client outside Docker, with the address map of `compose/README.md`.
    """
    return RedisSettings.isolated(
        sentinels=[("127.0.0.1", port) for port in PORTS[3:]],
        master_name="sahool-master",
        password=PASSWORD,
        address_map=documented_address_map(),
        **others,
    )


def documented_address_map() -> str:
    text = (ROOT / "compose" / "README.md").read_text(encoding="utf-8")
    found = re.search(r"^REDIS_ADDRESS_MAP=(\S+)$", text, re.MULTILINE)
    assert found, "compose/README.md has no line REDIS_ADDRESS_MAP=..."
    return found[1]


def _refuse_a_taken_place() -> None:
    theirs = docker("ps", "--all", "--filter", "name=^/?sahool-redis-", "--format", "{{.Names}}")
    if theirs:
        cannot_run(f"these containers are in the way, and not ours: {' '.join(theirs.split())}")
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                cannot_run(f"the group needs 127.0.0.1:{port}: {error.strerror}")


def _unhealthy() -> str | None:
    states = docker(
        "inspect", "--format", "{{.Name}} {{.State.Health.Status}}", *SERVERS, *SENTINELS
    )
    return ", ".join(line for line in states.splitlines() if not line.endswith(" healthy")) or None


def _unaware(group: ComposeGroup) -> str | None:
    for sentinel in SENTINELS:
        state = group.shell(sentinel, "redis-cli -p 26379 SENTINEL master sahool-master").split()
        fields = dict(zip(state[::2], state[1::2], strict=False))
        if (fields["num-slaves"], fields["num-other-sentinels"]) != ("2", "2"):
            return f"{sentinel} does not know the whole group"
    return None


def _wait_until(reason: Callable[[], str | None], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (last := reason()) is not None:
        assert time.monotonic() < deadline, f"{last}, after {seconds:g} s"
        time.sleep(0.5)
