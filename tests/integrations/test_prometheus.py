"""
What Prometheus reads of a client, against a real group.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sahool_cache import RedisClient
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.integrations.prometheus import ClientCollector
from tests.house import ROOT
from tests.integration.observe import eventually

MASTER = "sahool-master"


class Scraped(dict[tuple[str, frozenset[tuple[str, str]]], float]):
    """
    The samples of one scrape: ``scraped("up", node=...)``; the client's labels are understood.
    """

    def __call__(self, name: str, client: str = "default", **labels: Any) -> float | None:
        wanted = {"client": client, "master_name": MASTER} | {k: str(v) for k, v in labels.items()}
        return self.get((f"sahool_cache_{name}", frozenset(wanted.items())))


async def scrape(registry: CollectorRegistry) -> Scraped:
    """
    From another thread, as Prometheus's HTTP server does.
    """
    text = (await asyncio.to_thread(generate_latest, registry)).decode()
    return Scraped(
        {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    )


def register(collected: Any) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=True)
    registry.register(ClientCollector(collected))
    return registry


@pytest.mark.asyncio
async def test_a_scrape_tells_what_the_client_knows_of_itself() -> None:
    async with EmbeddedSentinel() as group, RedisClient(group.settings) as redis:
        scraped = register(redis)
        before = await scrape(scraped)
        for n in range(100):
            await redis.set("k", n)
        now, stats = await scrape(scraped), redis.stats()
        master = redis.topology.master

        assert now("up") == 1
        assert now("topology_epoch") == redis.topology.epoch
        assert now("topology_provisional") == 0
        assert now("replicas") == now("replicas_in_rotation") == 2
        assert now("waiting_calls") == now("repeats_total") == now("failovers_total") == 0
        assert now("last_failover_outage_seconds") is None
        grown = now("node_replies_total", node=master) - before("node_replies_total", node=master)
        assert 100 <= grown <= stats.answered
        for node in stats.nodes:
            assert now("node_info", node=node.address, role=node.role) == 1
            assert now("node_lanes", node=node.address) == node.lanes == 1
            assert now("node_dials_total", node=node.address) == node.dials
            assert now("node_in_flight", node=node.address) == 0
            assert now("node_quiet", node=node.address) == 0
            assert 0 < now("node_rtt_seconds", node=node.address) < 10
            assert now("breaker_state", node=node.address, state="closed") == 1
            assert now("breaker_state", node=node.address, state="open") == 0


@pytest.mark.asyncio
async def test_the_near_cache_is_there_where_the_client_has_one() -> None:
    async with EmbeddedSentinel() as group:
        settings = group.settings.model_copy(update={"near_cache": True})
        async with RedisClient(settings) as redis, RedisClient(group.settings) as plain:
            registry = register({"near": redis, "plain": plain})
            await plain.set("k", "v")
            await redis.get("k")  # the first reads may come before the source is trusted
            assert await eventually(lambda: redis.stats().near_cache.entries)  # type: ignore[union-attr]
            await redis.get("k")
            now, figures = await scrape(registry), redis.stats().near_cache
            assert figures is not None
            assert now("near_cache_hits_total", client="near") == figures.hits >= 1
            assert now("near_cache_misses_total", client="near") == figures.misses >= 1
            assert now("near_cache_entries", client="near") == 1
            assert now("near_cache_bytes", client="near") == figures.bytes > 0
            assert now("near_cache_hits_total", client="plain") is None


@pytest.mark.asyncio
async def test_a_failover_is_seen_from_its_first_to_its_last_moment() -> None:
    async with (
        EmbeddedSentinel(down_after=0.5) as group,
        RedisClient(group.settings) as redis,
    ):
        registry = register(redis)
        old = await group.kill_master()
        call = asyncio.create_task(redis.with_options(timeout=30).set("k", "v"))
        seen: list[Scraped] = []
        while not call.done():
            seen.append(await scrape(registry))
            await asyncio.sleep(0.01)
        await call
        assert any(each("up") == 0 and each("waiting_calls") == 1 for each in seen)

        assert await eventually(lambda: not redis.topology.provisional)
        now, master = await scrape(registry), redis.topology.master
        assert now("up") == now("failovers_total") == 1
        assert now("topology_epoch") == redis.topology.epoch >= 1
        assert 0 < now("last_failover_outage_seconds") < 30
        assert master != old.address
        assert now("node_info", node=master, role="master") == 1
        assert now("node_info", node=old.address, role="master") is None


@pytest.mark.asyncio
async def test_a_client_that_is_closed_is_down_and_opens_again() -> None:
    async with EmbeddedSentinel() as group:
        redis = RedisClient(group.settings)
        registry = register(redis)
        assert (await scrape(registry))("up") == 0
        async with redis:
            assert (await scrape(registry))("up") == 1
        assert (await scrape(registry))("up") == 0
        async with redis:
            assert (await scrape(registry))("up") == 1


@pytest.mark.asyncio
async def test_scrapes_do_no_harm_while_a_client_comes_and_goes() -> None:
    async with EmbeddedSentinel() as group:
        settings = group.settings.model_copy(update={"near_cache": True})
        redis = RedisClient(settings)
        registry, stop = register(redis), asyncio.Event()

        async def scraper() -> int:
            count = 0
            while not stop.is_set():
                await scrape(registry)
                count += 1
            return count

        scraping = asyncio.create_task(scraper())
        for n in range(20):
            async with redis:
                await redis.set("k", n)
                await redis.get("k")
        stop.set()
        assert await scraping > 20


def test_two_collectors_in_one_registry_are_refused() -> None:
    settings = RedisClient.from_url("redis+sentinel://localhost/sahool-master").settings
    registry = register(RedisClient(settings))
    with pytest.raises(ValueError, match="sahool_cache_up"):
        registry.register(ClientCollector(RedisClient(settings)))


def test_the_page_names_every_metric_and_no_other() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    client = RedisClient.from_url("redis+sentinel://localhost/sahool-master")
    metrics = [
        f"{each.name}_total" if each.type == "counter" else each.name
        for each in ClientCollector(client).collect()
    ]
    assert sorted(re.findall(r"^\| `(sahool_cache_\w+)`", page, re.MULTILINE)) == sorted(metrics)
