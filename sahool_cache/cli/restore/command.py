"""
``sahool-cache restore``: the command.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from sahool_cache.cli.answer import Answer, ask, conclude, mark
from sahool_cache.cli.exit_status import ExitStatus
from sahool_cache.cli.options import AsJson, Url, Within, Yes, group_settings
from sahool_cache.cli.restore.proof import Backup, find_backup
from sahool_cache.cli.restore.restoring import (
    Mode,
    Order,
    Proved,
    Restored,
    prove,
    restore_into,
)
from sahool_cache.cli.restore.scratch import Loaded
from sahool_cache.cli.restore.target import Found

__all__ = ["restore"]


_File = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="The backup; of a directory, the group's newest in it."),
]
_Check = Annotated[
    bool, typer.Option("--check", help="Only prove it: no group is touched, none is needed.")
]
_Flush = Annotated[bool, typer.Option("--flush", help="Delete all that is in the group first.")]
_Replace = Annotated[
    bool, typer.Option("--replace", help="Overwrite keys that the backup has, keep others.")
]
_CompareAll = Annotated[
    bool, typer.Option("--compare-all", help="Compare all values, not about a thousand.")
]
_Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="PATH",
        help="The redis-server or valkey-server that reads the backup.",
        show_default=False,
    ),
]


def restore(  # noqa: PLR0913  # each is an option
    *,
    file: _File,
    url: Url = None,
    check: _Check = False,
    flush: _Flush = False,
    replace: _Replace = False,
    compare_all: _CompareAll = False,
    server: _Server = None,
    within: Within = 60.0,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """
    Restores a backup into the group, after it was proved on a scratch server.

    The file is compared with the JSON beside it, checked, and loaded into a
    server of its own on this machine, which needs the memory for it. Then
    every key is copied to the master with its time to live, and compared.
    A group that is not empty is refused unless --flush or --replace is given.
    """
    if flush and replace:
        raise typer.BadParameter("--flush and --replace exclude one another")
    mode: Mode = "flush" if flush else "replace" if replace else "empty"

    async def only_prove() -> Answer:
        proved = await prove(find_backup(file), server, quiet=as_json)
        return Answer(document=_proof(proved), told=Group(*_proof_lines(proved)))

    if check:
        return conclude(only_prove(), as_json=as_json)
    settings = group_settings(url)
    order = Order(
        settings=settings,
        mode=mode,
        server=server,
        every_value=compare_all,
        within=within,
        quiet=as_json,
        confirm=lambda *known: ask(_question(mode, settings.master_name, *known), yes=yes),
    )

    async def work() -> Answer:
        done = await restore_into(find_backup(file, settings.master_name), order)
        return Answer(
            document=_document(done),
            told=Group(*_proof_lines(done.proved), *_lines(done)),
            status=ExitStatus.OK if done.well else ExitStatus.DEGRADED,
        )

    return conclude(work(), as_json=as_json)


def _question(mode: Mode, master_name: str, backup: Backup, loaded: Loaded, found: Found) -> str:
    deed = {
        "empty": "Copy",
        "flush": "DELETE ALL OF IT, and copy",
        "replace": "Overwrite those keys of it that the backup has with",
    }[mode]
    of = backup.sidecar
    whose = f" of {of.master_name}, {of.taken:%Y-%m-%d %H:%M:%S} UTC" if of else ""
    stranger = f" NOT OF {master_name}:" if of and of.master_name != master_name else ""
    return f"{found}.{stranger} {deed} the {loaded.keys:,} keys of {backup.file.name}{whose}?"


def _proof(proved: Proved) -> dict[str, Any]:
    backup, loaded = proved.backup, proved.loaded
    return {
        "file": str(backup.file),
        "rdb_version": backup.version,
        "checked_by": backup.checked_by,
        "sidecar": backup.sidecar,
        "loaded_by": loaded.server,
        "databases": {str(number): count for number, count in loaded.databases.items()},
        "functions": loaded.functions,
    }


def _document(done: Restored) -> dict[str, Any]:
    return {
        **_proof(done.proved),
        "master": done.found.master,
        "before": {str(number): count for number, count in done.found.databases.items()},
        "copied": done.copied.keys,
        "expired": done.expired,
        "refused": len(done.copied.refused),
        "compared": asdict(done.compared),
        "extra": done.extra,
        "replicas": done.replicas,
        "confirmed": done.confirmed,
    }


def _proof_lines(proved: Proved) -> Iterator[Text]:
    backup, loaded = proved.backup, proved.loaded
    yield Text.assemble(mark(ExitStatus.OK), f" {backup.file}")
    if backup.sidecar is None:
        yield Text("  has no JSON file beside it that says what it should hold")
    yield Text(f"  checked by {backup.checked_by}, loaded by {loaded.server}")
    functions = f", libraries of functions: {loaded.functions}" if loaded.functions else ""
    yield Text(f"  holds {loaded.keys:,} keys{functions}")


def _lines(done: Restored) -> Iterator[Text]:
    expired = f", {done.expired:,} have expired since" if done.expired else ""
    yield _line(not done.copied.refused, f"copied {done.copied.keys:,} keys{expired}")
    if refused := done.copied.refused:
        yield Text(f"  {len(refused)} were refused: {refused[0]}")
    compared = done.compared
    yield _line(compared.well, f"compared {compared.keys:,} keys, {compared.values:,} values")
    for count, words in (
        (compared.missing, "are missing"),
        (compared.other_expiry, "have another time to live"),
        (compared.other_value, "have another value"),
        (
            compared.not_comparable,
            "have values that cannot be compared: the group is newer than the server here",
        ),
    ):
        if count:
            yield Text(f"  {count:,} {words}")
    if done.extra is not None:
        words = f"{done.extra:,} keys" if done.extra else "nothing"
        yield _line(not done.extra, f"{words} in the group that the backup has not")
    if done.replicas:
        all_have_it = done.confirmed >= done.replicas
        yield _line(all_have_it, f"{done.confirmed} of {done.replicas} replicas have all of it")


def _line(well: bool, words: str) -> Text:
    return Text.assemble(mark(ExitStatus.OK if well else ExitStatus.DEGRADED), " ", words)
