"""
``sahool-cache backup``: the command.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Group
from rich.text import Text

from sahool_cache.address import Address
from sahool_cache.cli.answer import Answer, conclude, mark
from sahool_cache.cli.backup.progress import Bytes
from sahool_cache.cli.backup.taking import Order, Taken, take
from sahool_cache.cli.exit_status import ExitStatus
from sahool_cache.cli.options import AsJson, Url, Within, group_settings

__all__ = ["backup"]


def backup(
    *,
    directory: Annotated[
        Path, typer.Argument(metavar="[DIRECTORY]", help="Where backups are kept.")
    ] = Path("backup"),
    url: Url = None,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="HOST:PORT", help="Take it from this server."),
    ] = None,
    allow_master: Annotated[
        bool, typer.Option("--allow-master", help="From the master, if no replica is fit.")
    ] = False,
    keep: Annotated[int, typer.Option("--keep", min=1, help="Keep the newest so many.")] = 7,
    keep_days: Annotated[
        int | None,
        typer.Option(
            "--keep-days", min=1, help="Keep all of so many days, too.", show_default=False
        ),
    ] = None,
    within: Within = 10.0,
    as_json: AsJson = False,
) -> int:
    """
    Takes a backup of the group from a replica, without blocking the master.

    Writes an RDB file and a JSON file beside it, after a check of the whole
    file; then removes the oldest backups of this master in the directory.
    Nothing is removed, and no file is left, if no backup could be taken.
    """
    order = Order(
        settings=group_settings(url, command_timeout=within),
        directory=directory,
        chosen=_address(source),
        allow_master=allow_master,
        keep=keep,
        keep_days=keep_days,
        within=within,
    )

    async def work() -> Answer:
        with Bytes("backup", hidden=as_json) as progress:
            taken = await take(order, lambda come: progress.show(come.received, come.total))
        status = ExitStatus.DEGRADED if taken.not_removed else ExitStatus.OK
        return Answer(document=_document(taken), told=_told(taken), status=status)

    return conclude(work(), as_json=as_json)


def _address(text: str | None) -> Address | None:
    try:
        return Address.parse(text) if text is not None else None
    except ValueError as wrong:
        raise typer.BadParameter(f"--from: {wrong}") from None


def _document(taken: Taken) -> dict[str, Any]:
    return {
        "file": str(taken.file),
        **msgspec.to_builtins(taken.sidecar),
        "removed": list(map(str, taken.removed)),
        "failed_attempts": taken.failed,
        "not_removed": taken.not_removed,
    }


def _told(taken: Taken) -> Group:
    made = taken.sidecar
    keys = "" if made.keys is None else f"{made.keys:,} keys, "
    lines = [
        Text.assemble(mark(ExitStatus.OK), f" {taken.file}"),
        Text(f"  {keys}{made.bytes:,} bytes, checked by {made.checked_by}"),
        Text(f"  from the {made.role} {made.server}, epoch {made.epoch}, offset {made.offset}"),
    ]
    lines += [Text(f"  an attempt failed: {each}") for each in taken.failed]
    lines += [Text(f"  removed {each.name}") for each in taken.removed]
    if taken.not_removed:
        why = f" older backups could not be removed: {taken.not_removed}"
        lines.append(Text.assemble(mark(ExitStatus.DEGRADED), why))
    return Group(*lines)
