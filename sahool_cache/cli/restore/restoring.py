"""
Restores one backup: proved first, then copied, then compared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

from redis.exceptions import RedisError, ResponseError

from sahool_cache.cli.answer import Refused
from sahool_cache.cli.backup.progress import Count
from sahool_cache.cli.exit_status import ExitStatus
from sahool_cache.cli.restore.comparing import Compared, compare
from sahool_cache.cli.restore.copying import Copied, TooManyFailures, copy_functions, copy_keys
from sahool_cache.cli.restore.proof import Backup, examine, on_scratch
from sahool_cache.cli.restore.scratch import Loaded, Scratch
from sahool_cache.cli.restore.target import (
    Found,
    Targets,
    look,
    open_targets,
    patient,
    refusal,
)
from sahool_cache.client import RedisClient
from sahool_cache.settings import RedisSettings

__all__ = ["Mode", "Order", "Proved", "Restored", "Stopped", "prove", "restore_into"]

Mode = Literal["empty", "flush", "replace"]
"""What becomes of the keys that are there: there are none, they go, they stay."""


class Stopped(Refused):
    """
    It ended midway: what was copied so far is in the group.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why, ExitStatus.DOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """
    What is asked for; `confirm` asks whether it is meant, and raises where it is not.
    """

    settings: RedisSettings
    mode: Mode
    server: str | None
    every_value: bool
    within: float
    quiet: bool
    confirm: Callable[[Backup, Loaded, Found], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """
    A backup that a scratch server has loaded.
    """

    backup: Backup
    loaded: Loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """
    What was copied and how it compares; keys of the group that the backup has not (None where
    they were to stay), and how many of the replicas that follow its master have all of it.
    """

    proved: Proved
    found: Found
    copied: Copied
    compared: Compared
    extra: int | None
    replicas: int
    confirmed: int

    @property
    def well(self) -> bool:
        """
        Whether the group holds the backup, on its replicas too.
        """
        return (
            self.compared.well
            and not self.copied.refused
            and not self.extra
            and self.confirmed >= self.replicas
        )

    @property
    def expired(self) -> int:
        """
        Keys of the backup whose time to live had ended before they were copied.
        """
        return self.proved.loaded.keys - self.copied.keys - len(self.copied.refused)


async def prove(file: Path, server: str | None, *, quiet: bool) -> Proved:
    """
    Examines a backup and loads it into a scratch server; raises `Refused`.
    """

    async def usable(_scratch: Scratch, _loaded: Loaded) -> None:
        return None

    backup = await examine(file)
    kind = "redis" if backup.version.startswith("REDIS") else "valkey"
    async with on_scratch(backup, server, kind=kind, quiet=quiet, usable=usable) as (_, loaded):
        return Proved(backup=backup, loaded=loaded)


async def restore_into(file: Path, order: Order) -> Restored:
    """
    Restores a backup. Raises `Refused` while nothing has been touched, and `Stopped` later.
    """
    looking = patient(order.settings, order.within)

    async def usable(scratch: Scratch, loaded: Loaded) -> str | None:
        async with open_targets(looking, loaded.numbers) as targets:
            return await refusal(scratch, loaded, targets)

    backup = await examine(file)
    async with RedisClient(looking) as target:
        found = await _look(order, target)
        replicated = bool(target.topology.replicas)
    # One of the group's kind: it can read what the group sends back to be compared.
    async with on_scratch(
        backup, order.server, kind=found.kind, quiet=order.quiet, usable=usable
    ) as (scratch, loaded):
        order.confirm(backup, loaded, found)
        writing = patient(order.settings, order.within, confirm=replicated)
        async with open_targets(writing, loaded.numbers) as targets:
            # The proof and the answer took their time.
            found = await _look(order, next(iter(targets.values())))
            proved = Proved(backup=backup, loaded=loaded)
            return await _restore(order, proved, found, scratch, targets)


async def _look(order: Order, target: RedisClient) -> Found:
    found = await look(target)
    if order.mode == "empty" and not found.empty:
        raise Refused(
            f"{found}: --flush deletes all of it first, --replace overwrites the keys that the "
            "backup has"
        )
    return found


async def _restore(
    order: Order, proved: Proved, found: Found, scratch: Scratch, targets: Targets
) -> Restored:
    loaded = proved.loaded
    target = next(iter(targets.values()))
    before = target.topology
    copied = await _copy(order, loaded, scratch, targets)
    # A failover loses what only the old master had; the sample would not show it.
    every_value = order.every_value or target.topology.epoch != before.epoch
    try:
        compared = await compare(
            scratch, targets, keys=loaded.keys, every_value=every_value, random=Random()
        )
        replicas = (await target.info("replication"))["connected_slaves"]
        confirmed = await target.wait(replicas, int(order.within * 1000)) if replicas else 0
        after = await look(target)
    except (RedisError, asyncio.CancelledError) as error:
        why = str(error) or "interrupted"
        raise Stopped(f"copied, but it could not be compared: {why}") from error
    more = max(0, sum(after.databases.values()) - copied.keys)
    return Restored(
        proved=proved,
        found=found,
        copied=copied,
        compared=compared,
        extra=None if order.mode == "replace" else more,
        replicas=replicas,
        confirmed=confirmed,
    )


async def _copy(order: Order, loaded: Loaded, scratch: Scratch, targets: Targets) -> Copied:
    target = next(iter(targets.values()))
    flush = order.mode == "flush"
    done = 0

    def count(keys: int) -> None:
        nonlocal done
        done = keys
        bar.show(keys, loaded.keys)

    with Count("restore", hidden=order.quiet) as bar:
        try:
            try:
                await copy_functions(scratch, target, flush=flush)
            except ResponseError as error:
                raise Refused(f"the functions are refused: {error}", ExitStatus.DOWN) from error
            if flush:
                await target.with_options(retry="always").execute_command("FLUSHALL", "ASYNC")
            return await copy_keys(scratch, targets, count)
        except (RedisError, TooManyFailures, asyncio.CancelledError) as error:
            why = f"{error}; once that is mended," if str(error) else "interrupted;"
            raise Stopped(
                f"stopped after {done:,} of {loaded.keys:,} keys: {why} run it again with "
                + ("--flush" if flush else "--replace")
            ) from error
