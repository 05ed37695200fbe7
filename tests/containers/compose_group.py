"""
The group of `compose/docker-compose.redis-ha.yml`, brought up for one module of tests.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from sahool_cache import RedisSettings
from tests.docker import IMAGE, cannot_run, compose_command, docker, has_image, run
from tests.house import ROOT
from tests.monitoring.programs import cannot_run as no_monitoring
from tests.monitoring.prometheus import Prometheus

COMPOSE = ROOT / "compose"
FILE, TLS_FILE = "docker-compose.redis-ha.yml", "docker-compose.tls.yml"
PASSWORD = """it's-"quoted"\\$HOME#1"""
SERVICES = tuple(
    f"redis-{name}"
    for name in ("master", "replica-1", "replica-2", "sentinel-1", "sentinel-2", "sentinel-3")
)
CONTAINERS = tuple(f"sahool-{name}" for name in SERVICES)
SERVERS, SENTINELS = CONTAINERS[:3], CONTAINERS[3:]
PORTS = (6379, 6380, 6381, 26379, 26380, 26381)
SERVER_PORTS, SENTINEL_PORTS = PORTS[:3], PORTS[3:]
ADDRESSES = [("127.0.0.1", port) for port in PORTS]

# All of them are set: no `.env` of the developer's has a say, nor a secret.
VARIABLES = dict.fromkeys(
    re.findall(r"\$\{(\w+)", "".join(file.read_text("utf-8") for file in COMPOSE.glob("*.yml"))),
    "",
) | {
    "REDIS_PASSWORD": PASSWORD,
    "REDIS_IMAGE": IMAGE,
    "REDIS_SECRETS": str(COMPOSE / "redis"),  # where there are none
    "EXPORTER_IMAGE": os.environ.get("EXPORTER_IMAGE", ""),
    "PROMETHEUS_IMAGE": os.environ.get("PROMETHEUS_IMAGE", ""),
}

MONITORING = ("redis-exporter", "prometheus")


class ComposeGroup:
    """
    Six containers in a Compose project of its own: nothing else is ever touched.

    `client` is what a client is told beside addresses: passwords, users, TLS. `admin` is who may
    ask any node anything, as keywords of redis-py.
    """

    def __init__(
        self,
        *,
        directory: Path = COMPOSE,
        files: tuple[str, ...] = (FILE,),
        variables: Mapping[str, str] = {},
        client: Mapping[str, object] = {"password": PASSWORD},
        admin: Mapping[str, Any] = {"username": "sahool-admin", "password": PASSWORD},
    ) -> None:
        self.project = f"sahool-test-{uuid4().hex[:8]}"
        self.directory = directory
        self.files = files
        self.client = client
        self.admin = admin
        self.variables = VARIABLES | variables

    @property
    def environment(self) -> dict[str, str]:
        """
        What Compose is told, whoever calls it.
        """
        return os.environ | self.variables | {"COMPOSE_PROJECT_NAME": self.project}

    def compose(self, *arguments: str) -> str:
        """
        What ``docker-compose ...`` prints.
        """
        files = [word for file in self.files for word in ("--file", str(self.directory / file))]
        return run(*compose_command(), *files, *arguments, env=self.environment)

    def up(self) -> None:
        """
        Starts what is not as the variables say.
        """
        self.compose("up", "--detach", *SERVICES)
        self.wait_until_healthy()

    async def up_with_monitoring(self, clients: int = 0) -> Prometheus:
        """
        Starts exporter and Prometheus as well, where their images are to be had; returns when
        all servers and sentinels are scraped, and so many clients.
        """
        for name in ("EXPORTER_IMAGE", "PROMETHEUS_IMAGE"):
            if not has_image(self.variables[name]):
                no_monitoring(f"{name} names no image that is here (see docs/monitoring.md)")
        await asyncio.to_thread(self.compose, "up", "--detach", *SERVICES, *MONITORING)
        await asyncio.to_thread(self.wait_until_healthy)
        prometheus = Prometheus("127.0.0.1:9090")
        await prometheus.until_scraped(7 + clients)
        return prometheus

    def wait_until_healthy(self) -> None:
        """
        Returns when all six are, and when each sentinel knows the whole group.
        """
        _wait_until(_unhealthy, 90)
        _wait_until(self._unaware, 90)

    def ask(self, port: int, *command: str, **login: Any) -> Any:
        """
        The reply of the node behind that port, to the administrator or to whom `login` names.
        """
        once = Retry(NoBackoff(), 0)
        login = {"decode_responses": True, "retry": once, **self.admin, **login}
        with Redis(port=port, **login) as redis:
            return redis.execute_command(*command)

    def refusals(self) -> list[str]:
        """
        What a node has refused to a user, by its ``ACL LOG``; wrong passwords are left out.
        """
        return [
            f"{port}: {entry['username']} {entry['object']}"
            for port in PORTS
            for entry in self.ask(port, "ACL LOG")
            if entry["reason"] != "auth"
        ]

    def settings(self, **others: object) -> RedisSettings:
        """
        The settings of a client outside Docker, with the address map of `compose/README.md`.
        """
        return RedisSettings.isolated(
            sentinels=[("127.0.0.1", port) for port in SENTINEL_PORTS],
            master_name="sahool-master",
            address_map=documented_address_map(),
            **(self.client | others),
        )

    def shell(self, container: str, command: str, **environment: str) -> str:
        """
        What a shell command prints that runs inside a container.
        """
        variables = [word for each in environment.items() for word in ("--env", "=".join(each))]
        return docker("exec", *variables, container, "sh", "-c", command)

    def left(self) -> str:
        """
        The ids of what the project still has.
        """
        own = ("--quiet", "--filter", f"label=com.docker.compose.project={self.project}")
        lists = (("ps", "--all"), ("volume", "ls"), ("network", "ls"))
        return "".join(docker(*each, *own) for each in lists)

    def _unaware(self) -> str | None:
        for port in SENTINEL_PORTS:
            try:
                state = self.ask(port, "SENTINEL MASTER", "sahool-master")
            except RedisError as error:
                return f"the sentinel behind {port} says {error}"
            if (state["num-slaves"], state["num-other-sentinels"]) != (2, 2):
                return f"the sentinel behind {port} does not know the whole group"
        return None


@contextmanager
def compose_group(group: ComposeGroup, up: Callable[[], object] | None = None) -> Iterator[None]:
    """
    Keeps the group up, healthy at the beginning; `up` starts it another way. Leaves nothing behind.
    """
    _refuse_a_taken_place()
    try:
        (up or group.up)()
        group.wait_until_healthy()
        yield
    finally:
        group.compose("down", "--volumes", "--timeout", "1")
    assert not group.left()


def copy_compose(directory: Path) -> None:
    """
    Copies what is in the repository, without the developer's own passwords and keys.
    """
    shutil.copytree(COMPOSE, directory, ignore=shutil.ignore_patterns("redis_*password", "tls"))


def documented_address_map() -> str:
    text = (COMPOSE / "README.md").read_text(encoding="utf-8")
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
    states = docker("inspect", "--format", "{{.Name}} {{.State.Health.Status}}", *CONTAINERS)
    return ", ".join(line for line in states.splitlines() if not line.endswith(" healthy")) or None


def _wait_until(reason: Callable[[], str | None], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (last := reason()) is not None:
        assert time.monotonic() < deadline, f"{last}, after {seconds:g} s"
        time.sleep(0.5)
