"""
The servers that are measured against: a real Sentinel group, bound to the servers' core, with data.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import redis
from redis.exceptions import ResponseError

from sahool_cache.embedded import EmbeddedError, EmbeddedSentinel, Node
from tests.benchmarks.clients import AbsentError
from tests.benchmarks.model import Target
from tests.benchmarks.processes import SERVER, pinned
from tests.benchmarks.works import key_names

__all__ = ["started", "started_with_tls"]

_DOWN_AFTER = 20.0
"""Seconds. Everybody shares a core here: nothing but death may begin a failover."""


@contextmanager
def started(
    sizes: Sequence[int] = (100,), *, replicas: int = 2, server: str | None = None
) -> Iterator[Target]:
    """
    A group with that many replicas and three sentinels, and values of these sizes in it.
    """
    group = EmbeddedSentinel(replicas=replicas, down_after=_DOWN_AFTER, server=server)
    try:
        with pinned(SERVER):
            asyncio.run(group.open())
        _fill(group.master, sizes, replicas)
        yield _target(group)
    finally:
        asyncio.run(group.aclose())


def _target(group: EmbeddedSentinel) -> Target:
    master, settings = group.master, group.settings
    return Target(
        sentinels=tuple((each.host, each.port) for each in group.sentinels),
        master_name=settings.master_name,
        master=(master.host, master.port),
        master_pid=master.pid,
        replica_pids=tuple(each.pid for each in group.replicas),
        replicas=tuple((each.host, each.port) for each in group.replicas),
        other_pids=tuple(each.pid for each in group.sentinels),
    )


def _fill(master: Node, sizes: Sequence[int], replicas: int) -> None:
    with redis.Redis(master.host, master.port) as client:
        for size in sizes:
            value = b"x" * size
            pipe = client.pipeline(transaction=False)
            for key in key_names(size):
                pipe.set(key, value)
            pipe.execute()
        if client.execute_command("WAIT", replicas, 10_000) != replicas:
            raise EmbeddedError("the replicas do not follow")


@contextmanager
def started_with_tls(sizes: Sequence[int] = (100,)) -> Iterator[Target]:
    """
    The same over TLS: the servers speak it, the sentinels do not.

    Raises `AbsentError` where there is no server that speaks TLS, or nothing to make certificates.
    """
    server, openssl = map(shutil.which, ("redis-server", "openssl"))
    if server is None or openssl is None:
        missing = "redis-server" if server is None else "openssl"
        raise AbsentError(f"no {missing} on the PATH")
    with tempfile.TemporaryDirectory() as name, started(sizes, server=server) as target:
        folder = Path(name)
        _certify(openssl, folder)
        servers = (target.master, *target.replicas)
        ways = {f"{host}:{port}": _speak_tls(host, port, folder) for host, port in servers}
        host, _, port = ways["{}:{}".format(*target.master)].rpartition(":")
        ca_file = str(folder / "cert.pem")
        yield msgspec.structs.replace(target, ways=ways, master=(host, int(port)), ca_file=ca_file)


def _certify(openssl: str, folder: Path) -> None:
    subprocess.run(
        (
            *(openssl, "req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=benchmark"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
        ),
        check=True,
        capture_output=True,
    )


def _speak_tls(host: str, port: int, folder: Path) -> str:
    for tls_port in range(port + 100, port + 200):
        options: Mapping[str, str | int] = {
            "tls-cert-file": str(folder / "cert.pem"),
            "tls-key-file": str(folder / "key.pem"),
            "tls-auth-clients": "no",
            "tls-port": tls_port,
        }
        try:
            with redis.Redis(host, port) as client:
                client.execute_command(
                    "CONFIG", "SET", *(word for pair in options.items() for word in pair)
                )
        except ResponseError as error:
            if "listen" not in str(error).lower():
                raise AbsentError(f"redis-server speaks no TLS: {error}") from error
        else:
            return f"{host}:{tls_port}"
    raise EmbeddedError(f"no free port near {port}")
