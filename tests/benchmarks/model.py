"""
What a measurement is: which client does which work on which servers, and what came of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from sahool_cache.address import Address

__all__ = ["BASELINE", "OURS", "READY", "Cell", "Loop", "Result", "Target", "baseline_loop"]

BASELINE = "redis-py"
OURS = "ours"
READY = "ready"
"""What a cell says that waits."""

Loop = Literal["asyncio", "uvloop", "node", "none"]
"""What runs the client; `none` is a program that has no event loop that we could choose."""


def baseline_loop(loop: Loop) -> Loop:
    """
    The loop of the baseline that a client on that loop is compared with.
    """
    return "uvloop" if loop == "uvloop" else "asyncio"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """
    The group as a client sees it, and the processes whose CPU time counts as the servers'.
    """

    sentinels: tuple[tuple[str, int], ...]
    master_name: str
    master: tuple[str, int]
    """Where clients that do not ask the sentinels connect."""
    ways: Mapping[str, str] = {}
    """Announced address -> the one to dial, as in `RedisSettings.address_map`."""
    ca_file: str | None = None
    """The authority to trust; None means plain TCP."""
    replicas: tuple[tuple[str, int], ...] = ()
    master_pid: int = 0
    replica_pids: tuple[int, ...] = ()
    other_pids: tuple[int, ...] = ()

    def reached(self, address: Address) -> tuple[str, int]:
        """
        Where to dial that server.
        """
        host, _, port = self.ways.get(str(address), str(address)).rpartition(":")
        return host, int(port)


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """
    One client that does one kind of work, in a process of its own.

    It goes on for `seconds`, or for as many `commands` as are given; what it does before that, for
    `warm_up` seconds, is not counted.
    """

    work: str
    client: str
    loop: Loop = "asyncio"
    tasks: int = 1
    value_bytes: int = 100
    seconds: float = 0.8
    warm_up: float = 0.3
    commands: int | None = None
    rounds: int = 1
    """Into how many parts `commands` are cut; memory is looked at after each."""
    profiled: bool = False
    """Whether its instructions are counted: then no task begins its next command before all have
    their replies, so what is sent together does not depend on who happens to be quick; and it waits
    for a line once more when it is done."""
    options: Mapping[str, Any] = {}
    """Settings of ours, beyond those that name the group."""
    processes: int = 1
    """How many such cells work at once, each in a process of its own."""
    waits: bool = False
    """Whether it says ``ready`` once it is warm, and waits for a line before it goes on."""

    @property
    def name(self) -> str:
        """
        The cell in a few words, for who watches.
        """
        return f"{self.work} | {self.client} | {self.loop}"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """
    What one cell measured. Latencies are in microseconds, memory is in KiB.

    `absent` says why there is nothing to measure here: a peer that is not installed. `trouble` says
    why it failed, which no figure may hide.
    """

    cell: Cell
    rep: int = 0
    commands: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    """Seconds of CPU time of the client's process."""
    master_cpu: float | None = None
    replica_cpu: float | None = None
    foreign_cpu: float | None = None
    """The same of all processes that are none of the measurement's."""
    p50: float | None = None
    p99: float | None = None
    p999: float | None = None
    rss: int = 0
    peak_rss: int = 0
    rss_by_round: tuple[int, ...] = ()
    core: int | None = None
    """The one core that the client was bound to, if it was."""
    absent: str | None = None
    trouble: str | None = None

    @property
    def measured(self) -> bool:
        """
        Whether there are figures.
        """
        return self.absent is None and self.trouble is None and self.seconds > 0

    @property
    def rate(self) -> float:
        """
        Commands per second.
        """
        return self.commands / self.seconds if self.seconds else 0.0

    @property
    def cpu_per_command(self) -> float:
        """
        Microseconds of the client's CPU time.
        """
        return 1e6 * self.cpu / self.commands if self.commands else 0.0
