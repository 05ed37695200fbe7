"""
The compose group's exporter and Prometheus, with the rules as they are, and a password of the
exporter's own in a file.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, start_http_server

from sahool_cache import RedisClient
from sahool_cache.integrations.prometheus import ClientCollector
from tests.containers.compose_group import COMPOSE, CONTAINERS, FILE, ComposeGroup, compose_group
from tests.docker import docker
from tests.monitoring.prometheus import Prometheus, fetch, until

pytestmark = [pytest.mark.container, pytest.mark.asyncio]

HOST = "172.16.79.1"
"""The host as containers see it."""


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeGroup]:
    directory = tmp_path_factory.mktemp("compose")
    for each in (FILE, "redis", "prometheus"):  # and not what a developer keeps beside them
        place = shutil.copytree if (COMPOSE / each).is_dir() else shutil.copy
        place(COMPOSE / each, directory / each)
    shutil.rmtree(directory / "prometheus" / "clients", ignore_errors=True)
    (directory / "secrets").mkdir()
    secret = directory / "secrets" / "redis_monitoring_password"
    secret.write_text("the-exporters-own\n")
    group = ComposeGroup(
        directory=directory,
        variables={"REDIS_SECRETS": "./secrets", "REDIS_SECRETS_GROUP": str(os.getgid())},
    )
    with compose_group(group):
        yield group


async def test_all_six_and_a_client_on_the_host_are_scraped(group: ComposeGroup) -> None:
    registry = CollectorRegistry()
    async with RedisClient(group.settings()) as redis:
        registry.register(ClientCollector(redis))
        server, thread = start_http_server(0, HOST, registry)
        try:
            tell(group.directory, server.server_port)
            prometheus = await group.up_with_monitoring(clients=1)
            targets = await prometheus.until_scraped(8)
            up = await prometheus.query('sahool_cache_up{master_name="sahool-master"}')
            assert [each["value"][1] for each in up] == ["1"]
        finally:
            tell(group.directory)
            server.shutdown()
            server.server_close()
            thread.join()
    containers = [each["container"] for each in targets.values() if "container" in each]
    assert sorted(containers) == sorted(CONTAINERS)
    roles = await prometheus.query('count by (role) (redis_instance_info{job="redis"})')
    assert {each["metric"]["role"]: each["value"][1] for each in roles} == {
        "master": "1",
        "slave": "2",
    }
    assert len(await prometheus.query("redis_sentinel_master_ckquorum_status == 1")) == 3
    await prometheus.until_scraped(7, seconds=90)  # the file of clients is empty again


def tell(directory: Path, *ports: int) -> None:
    """
    Which clients there are.
    """
    (directory / "prometheus" / "clients").mkdir(exist_ok=True)
    targets = [{"targets": [f"{HOST}:{port}" for port in ports]}]
    (directory / "prometheus" / "clients" / "host.json").write_text(json.dumps(targets))


async def test_the_exporter_on_the_host_tells_of_the_first_master(group: ComposeGroup) -> None:
    """
    As the seed's own Prometheus asks it: ``localhost:9121``.
    """
    await group.up_with_monitoring()
    metrics = await fetch("http://127.0.0.1:9121/metrics")
    assert "redis_up 1\n" in metrics
    assert "redis_connected_slaves 2\n" in metrics


async def test_the_exporter_does_without_rights_that_it_has_not(group: ComposeGroup) -> None:
    await group.up_with_monitoring()
    assert not [each for each in group.refusals() if "sahool-monitoring" in each]


async def test_monitoring_is_published_on_the_loopback_interface_only(group: ComposeGroup) -> None:
    await group.up_with_monitoring()
    for name in ("sahool-redis-exporter", "sahool-prometheus"):
        (container,) = json.loads(docker("inspect", name))
        published = container["NetworkSettings"]["Ports"].values()
        assert [each["HostIp"] for bindings in published for each in bindings or ()] == [
            "127.0.0.1"
        ]


async def test_containers_that_are_stopped_are_reported_until_they_are_back(
    group: ComposeGroup,
) -> None:
    prometheus = await group.up_with_monitoring()
    stopped = ("sahool-redis-master", "sahool-redis-sentinel-3")
    await asyncio.to_thread(docker, "stop", *stopped)
    expected = ("RedisDown", "SentinelDown", "RedisMasterChanged")
    await prometheus.until_firing(*expected, seconds=180)
    firing = await prometheus.firing()
    assert [each["container"] for each in firing["RedisDown"]] == [stopped[0]]
    assert [each["container"] for each in firing["SentinelDown"]] == [stopped[1]]
    assert "RedisNoMaster" not in firing
    assert "SentinelQuorumLost" not in firing

    await asyncio.to_thread(docker, "start", *stopped)
    await until(lambda: still(prometheus, *expected[:2]), 120)


async def still(prometheus: Prometheus, *names: str) -> str | None:
    firing = set(names) & set(await prometheus.firing())
    return f"still firing: {sorted(firing)}" if firing else None
