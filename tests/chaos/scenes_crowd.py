"""
Three hundred clients in three processes, and one failover.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from sahool_cache.embedded import Node
from tests.chaos import bars
from tests.chaos.arena import Arena
from tests.chaos.scenes import Scene, register

__all__ = ["busiest_share"]

PROCESSES, CLIENTS = 3, 100
WINDOW = 0.020
WATCHED = 5.0
"""Seconds from the fault on; as many before it say what the clients ask in any case."""
_ROOT = Path(__file__).resolve().parents[2]


async def one_failover(arena: Arena) -> None:
    settings = arena.group.settings
    order = {
        "clients": CLIENTS,
        "settings": {
            "sentinels": [str(each) for each in settings.sentinels],
            "master_name": settings.master_name,
        },
    }
    crowds = [await _start({**order, "name": f"crowd:{n}"}) for n in range(PROCESSES)]
    try:
        for crowd in crowds:
            await _answer(crowd, 40)
        await _watched_failover(arena)
        told = [member for crowd in crowds for member in await _stop(crowd)]
        await _tell(arena, told)
    finally:
        for crowd in crowds:
            if crowd.returncode is None:
                crowd.kill()
            await crowd.wait()


async def _watched_failover(arena: Arena) -> None:
    arena.old = arena.group.master
    candidates = arena.group.replicas
    await arena.calm(2.0)  # the last of them have only just found their way
    rounds = [await _queries(arena)]
    await arena.calm(WATCHED)
    rounds.append(await _queries(arena))
    counts = [asyncio.create_task(_connects(arena, node)) for node in candidates]
    fault = arena.mark("fault")
    await arena.group.kill(arena.old)
    new = await arena.wait_promoted(arena.old)
    await arena.calm(WATCHED - (time.monotonic() - fault))
    rounds.append(await _queries(arena))
    begun, failed, ended = ([*each.values()] for each in rounds)
    calm = max(after - before for before, after in zip(begun, failed, strict=True))
    asked = max(after - before for before, after in zip(failed, ended, strict=True))
    for task in counts:
        task.cancel()
    samples = await counts[candidates.index(new)]
    arena.note("queries_when_calm", calm / (PROCESSES * CLIENTS))
    arena.note("queries", (asked - calm) / (PROCESSES * CLIENTS))
    arena.note("connects", samples[-1][1] - samples[0][1])
    arena.note("busiest", busiest_share(samples, WINDOW))


def busiest_share(samples: list[tuple[float, int]], window: float) -> float:
    """
    The share of the growth of a counter that falls into its busiest window.
    """
    steps = [(at, after - before) for (_, before), (at, after) in pairwise(samples)]
    total = sum(step for _, step in steps)
    if not total:
        return 0.0
    return (
        max(sum(step for at, step in steps if start <= at < start + window) for start, _ in steps)
        / total
    )


async def _connects(arena: Arena, node: Node) -> list[tuple[float, int]]:
    """
    How many connections the server has accepted, but ours, every 5 ms until it is cancelled.
    """
    loop, samples = asyncio.get_running_loop(), list[tuple[float, int]]()
    try:
        for asked in range(1, 10_000):
            # A promotion closes the connections of all clients, ours too.
            with suppress(OSError):
                text = str(await arena.group.command(node, "INFO", "stats"))
                total = _field(text, "total_connections_received") - asked
                samples.append((loop.time(), total))
            await asyncio.sleep(0.005)
    except asyncio.CancelledError:
        pass
    return samples


async def _queries(arena: Arena) -> dict[int, int]:
    """
    How many commands each sentinel has processed, by its port: a sentinel does not count them
    apart by name. The few of the other sentinels are among them.
    """
    counts: dict[int, int] = {}
    for sentinel in arena.group.sentinels:
        text = str(await arena.group.command(sentinel, "INFO", "stats"))
        counts[sentinel.port] = _field(text, "total_commands_processed")
    return counts


def _field(info: str, name: str) -> int:
    return int(info.partition(f"{name}:")[2].partition("\r")[0])


async def _tell(arena: Arena, told: list[dict[str, Any]]) -> None:
    fault = arena.marked("fault") or 0.0
    values: Any = await arena.group.command(
        arena.group.master, "MGET", *(member["key"] for member in told)
    )
    # The last number that was tried may be there without an answer.
    behind = [
        member
        for member, value in zip(told, values, strict=True)
        if int(value or 0) not in range(member["acknowledged"], member["value"] + 1)
        or member["times"][-1] < fault + 3.0
    ]
    gaps = [
        after - max(before, fault)
        for member in told
        for before, after in pairwise(member["times"])
        if after > fault
    ]
    arena.note("left_behind", len(behind))
    arena.note("crowd_errors", sum(member["errors"] for member in told))
    arena.note("crowd_outage", max(gaps))


async def _start(order: dict[str, Any]) -> Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos.crowd", cwd=_ROOT, stdin=PIPE, stdout=PIPE, limit=2**24
    )
    await _send(process, json.dumps(order))
    return process


async def _send(process: Process, line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line.encode() + b"\n")
    await process.stdin.drain()


async def _answer(process: Process, timeout: float) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(timeout):
        return (await process.stdout.readuntil()).decode()


async def _stop(process: Process) -> list[dict[str, Any]]:
    await _send(process, "stop")
    return list(json.loads(await _answer(process, 15)))


register(
    Scene(
        name="crowd",
        about="300 clients in 3 processes, and the master gets SIGKILL",
        run=one_failover,
        bars=bars.CROWD,
        compares=False,
        timeout=90.0,
    )
)
