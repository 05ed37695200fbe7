"""
The monitoring without Docker: the same configuration and rules, in real processes, and in a hurry.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sahool_cache.embedded import EmbeddedSentinel
from tests.house import ROOT
from tests.monitoring.programs import path
from tests.monitoring.prometheus import Prometheus

PASSWORD = "monitored"
COMPOSE = ROOT / "compose" / "prometheus"
SERVERS = ("redis-master", "redis-replica-1", "redis-replica-2")
SENTINELS = ("redis-sentinel-1", "redis-sentinel-2", "redis-sentinel-3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """
    A group, its exporter and Prometheus, and one client in a process of its own, whose metrics
    are at `metrics`.
    """

    group: EmbeddedSentinel
    prometheus: Prometheus
    exporter: Process
    client: Process
    metrics: str


@asynccontextmanager
async def stack(folder: Path, **server_config: str) -> AsyncIterator[Stack]:
    """
    All of it, with every target up. Ends every process.
    """
    exporter, prometheus, client = (f"127.0.0.1:{port}" for port in free_ports(3))
    async with AsyncExitStack() as exits:
        group = await exits.enter_async_context(
            EmbeddedSentinel(password=PASSWORD, server_config=server_config)
        )
        sentinels = json.dumps([str(each.address) for each in group.sentinels])
        module = (sys.executable, "-m", "tests.monitoring.client_process")
        it = Stack(
            group=group,
            prometheus=Prometheus(prometheus),
            exporter=await exits.enter_async_context(
                process(
                    *(path("prometheus-redis-exporter"), "-connection-timeout", "500ms"),
                    *("-web.listen-address", exporter, "-redis.addr", ""),
                    REDIS_USER="default",
                    REDIS_PASSWORD=PASSWORD,
                )
            ),
            client=await exits.enter_async_context(process(*module, sentinels, PASSWORD, client)),
            metrics=f"http://{client}/metrics",
        )
        configure(folder, group, exporter, client)
        await exits.enter_async_context(
            process(
                *(path("prometheus"), f"--config.file={folder}/prometheus.yml"),
                *(f"--storage.tsdb.path={folder}/data", "--log.level=warn"),
                f"--web.listen-address={prometheus}",
            )
        )
        await it.prometheus.until_scraped(8)
        yield it


def configure(folder: Path, group: EmbeddedSentinel, exporter: str, client: str) -> None:
    """
    The configuration of the compose group with other addresses, every second instead of every
    ten, and the same rules, but without waiting (``for``).
    """
    text = (COMPOSE / "prometheus.yml").read_text(encoding="utf-8")
    text = re.sub(r"_interval: 10s", "_interval: 1s", text)
    text = re.sub(r"scrape_timeout: 8s", "scrape_timeout: 1s", text)
    nodes = (group.master, *group.replicas, *group.sentinels)
    for name, node in zip((*SERVERS, *SENTINELS), nodes, strict=True):
        text = re.sub(rf"{name}:\d+", str(node.address), text)
    text = text.replace("redis-exporter:9121", exporter)
    (folder / "prometheus.yml").write_text(text, encoding="utf-8")
    shutil.copytree(COMPOSE / "rules", folder / "rules")
    alerts = folder / "rules" / "alerts.yml"
    hurried = re.sub(r"for: \d+[sm]", "for: 0s", alerts.read_text(encoding="utf-8"))
    alerts.write_text(hurried, encoding="utf-8")
    (folder / "clients").mkdir()
    (folder / "clients" / "test.yml").write_text(
        json.dumps([{"targets": [client]}]), encoding="utf-8"
    )


@asynccontextmanager
async def process(*command: str, **env: str) -> AsyncIterator[Process]:
    running = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=os.environ | env, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
