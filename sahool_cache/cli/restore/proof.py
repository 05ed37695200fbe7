"""
Whether a backup is what its sidecar says, and can be read: before anything else is touched.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sahool_cache.cli.answer import Refused
from sahool_cache.cli.backup.archive import newest_backup
from sahool_cache.cli.backup.check import Damaged, check_rdb, rdb_version
from sahool_cache.cli.backup.progress import Bytes
from sahool_cache.cli.backup.sidecar import Sidecar, read_sidecar, sidecar_path
from sahool_cache.cli.exit_status import ExitStatus
from sahool_cache.cli.restore.scratch import Loaded, NotLoaded, Scratch, find_programs
from sahool_cache.embedded.errors import ServerNotFoundError

__all__ = ["Backup", "examine", "find_backup", "on_scratch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """
    A file that was examined; of one without a sidecar nothing is known but that it is whole.
    """

    file: Path
    version: str
    checked_by: str
    sidecar: Sidecar | None


def find_backup(path: Path, master_name: str | None = None) -> Path:
    """
    That file; of a directory the newest backup in it, of that master or of any. Raises `Refused`.
    """
    found = newest_backup(path, master_name) if path.is_dir() else path
    if found is None:
        of = f" of {master_name}" if master_name is not None else ""
        raise Refused(f"{path} holds no backup{of} that has its JSON file beside it")
    if not found.is_file():
        raise Refused(f"{found} is no file")
    return found


async def examine(file: Path) -> Backup:
    """
    Compares the file with its sidecar and checks it; raises `Refused` where it is damaged.
    """
    try:
        sidecar = await asyncio.to_thread(_read_beside, file)
        version = rdb_version(file)
        checked = await check_rdb(file)
    except (Damaged, OSError) as error:
        raise Refused(f"the backup is damaged: {error}", ExitStatus.DOWN) from error
    return Backup(file=file, version=version, checked_by=checked.by, sidecar=sidecar)


def _read_beside(file: Path) -> Sidecar | None:
    beside = sidecar_path(file)
    if not beside.exists():
        return None
    sidecar = read_sidecar(file)
    if sidecar is None:
        raise Damaged(f"{beside.name} cannot be read")
    size = file.stat().st_size
    if size != sidecar.bytes:
        raise Damaged(f"{file.name} has {size} bytes, and had {sidecar.bytes}")
    with file.open("rb") as opened:
        if hashlib.file_digest(opened, "sha256").hexdigest() != sidecar.sha256:
            raise Damaged(f"{file.name} is not as it was written: its SHA-256 differs")
    return sidecar


@asynccontextmanager
async def on_scratch(
    backup: Backup,
    chosen: str | None,
    *,
    kind: str,
    quiet: bool,
    usable: Callable[[Scratch, Loaded], Awaitable[str | None]],
) -> AsyncIterator[tuple[Scratch, Loaded]]:
    """
    A scratch server that has loaded the backup, all of it, and of which `usable` knows nothing
    bad; those of `kind` are tried first. Raises `Refused` with what each that was tried said.
    """
    try:
        programs = find_programs(chosen, kind)
    except ServerNotFoundError as error:
        raise Refused(f"the backup cannot be proved: {error}") from error
    reasons = []
    for program in programs:
        try:
            with Scratch(program, backup.file) as scratch:
                with Bytes("proof", hidden=quiet) as bar:
                    loaded = await scratch.loaded(bar.show)
                _compare(backup, loaded)
                why_not = await usable(scratch, loaded)
                if why_not is None:
                    yield scratch, loaded
                    return
                reasons.append(f"{program}: {why_not}")
        except NotLoaded as error:
            reasons.append(f"{program}: {error}")
    raise Refused(
        f"no server here can be used for {backup.version} ({'; '.join(reasons)}); "
        "--server names another one",
        ExitStatus.DOWN,
    )


def _compare(backup: Backup, loaded: Loaded) -> None:
    sidecar = backup.sidecar
    if sidecar is not None and sidecar.keys not in (None, loaded.keys):
        raise Refused(
            f"{loaded.server} loads {loaded.keys} keys; the backup had {sidecar.keys}",
            ExitStatus.DOWN,
        )
