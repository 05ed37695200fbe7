"""
Takes one backup: from a replica, checked, under its final name, and the oldest removed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sahool_cache.address import Address
from sahool_cache.cli.answer import Refused
from sahool_cache.cli.backup.archive import Archive, Draft
from sahool_cache.cli.backup.check import Damaged, check_rdb, rdb_version
from sahool_cache.cli.backup.sidecar import Sidecar
from sahool_cache.cli.backup.source import Source, find_sources
from sahool_cache.cli.backup.stream import RdbStream
from sahool_cache.cli.backup.transfer import TransferFailed, receive
from sahool_cache.cli.exit_status import ExitStatus
from sahool_cache.cli.servers import Servers
from sahool_cache.client import RedisClient
from sahool_cache.settings import RedisSettings

__all__ = ["Order", "Taken", "take"]

_ATTEMPTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """
    What is asked for.
    """

    settings: RedisSettings
    directory: Path
    chosen: Address | None
    allow_master: bool
    keep: int
    keep_days: int | None
    within: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """
    What was made of it: the file, its sidecar, the backups that were removed for it, why an
    earlier attempt failed, and why those that should have been removed were not.
    """

    file: Path
    sidecar: Sidecar
    removed: list[Path]
    failed: list[str]
    not_removed: str | None


async def take(order: Order, on_progress: Callable[[RdbStream], object]) -> Taken:
    """
    Takes a backup; raises `Refused`, with nothing left behind, where none could be taken.
    """
    archive = Archive(order.directory)
    removed: list[Path] = []
    not_removed = None
    try:
        with archive.locked(), archive.draft() as draft:
            sidecar, failed = await _attempts(order, draft, on_progress)
            file = archive.publish(draft, sidecar)
            try:
                old = archive.outdated(file, sidecar, keep=order.keep, keep_days=order.keep_days)
                removed += map(archive.remove, old)
            except OSError as error:
                not_removed = str(error)
    except (OSError, Damaged) as error:
        raise Refused(f"no backup was taken: {error}", ExitStatus.DOWN) from error
    return Taken(
        file=file, sidecar=sidecar, removed=removed, failed=failed, not_removed=not_removed
    )


async def _attempts(
    order: Order, draft: Draft, on_progress: Callable[[RdbStream], object]
) -> tuple[Sidecar, list[str]]:
    failed: dict[Address, str] = {}
    settings = order.settings
    async with RedisClient(settings) as redis, Servers(settings) as servers:
        for _ in range(_ATTEMPTS):
            try:
                sources = await find_sources(
                    redis,
                    servers,
                    chosen=order.chosen,
                    allow_master=order.allow_master,
                    within=order.within,
                )
            except Refused as none:
                raise Refused("; ".join([*_told(failed), str(none)]), none.status) from none
            source = min(sources, key=lambda each: each.address in failed)
            try:
                return await _attempt(settings, source, draft, on_progress), _told(failed)
            except TransferFailed as error:
                failed[source.address] = str(error)
                if error.permanent:
                    break
    raise Refused(f"no backup was taken: {'; '.join(_told(failed))}", ExitStatus.DOWN)


def _told(failed: Mapping[Address, str]) -> list[str]:
    return [f"{address}: {why}" for address, why in failed.items()]


async def _attempt(
    settings: RedisSettings,
    source: Source,
    draft: Draft,
    on_progress: Callable[[RdbStream], object],
) -> Sidecar:
    draft.begin_again()
    taken = datetime.now(UTC)
    stream = RdbStream(draft.write)
    await receive(
        settings,
        source.address,
        source.version,
        stream,
        announce=source.announce,
        on_progress=on_progress,
    )
    sha256 = draft.finish()
    try:
        version = rdb_version(draft.path)
        checked = await check_rdb(draft.path)
    except Damaged as error:
        raise TransferFailed(f"what came is damaged: {error}") from error
    return Sidecar(
        master_name=settings.master_name,
        taken=taken.replace(microsecond=0),
        server=str(source.address),
        role=source.role,
        version=source.version,
        rdb_version=version,
        epoch=source.epoch,
        replid=stream.replid,
        offset=stream.offset,
        bytes=stream.received,
        sha256=sha256,
        checked_by=checked.by,
        keys=checked.keys,
        databases=checked.databases,
    )
