"""
Whether a file is a whole, undamaged RDB, and how many keys it holds.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sahool_cache.cli.backup.crc64 import crc64
from sahool_cache.embedded.binary import find_server
from sahool_cache.embedded.errors import ServerNotFoundError

__all__ = ["Checked", "Damaged", "check_rdb", "rdb_version"]

_TOOLS = ("valkey-check-rdb", "redis-check-rdb")
_MAGIC = re.compile(rb"REDIS\d{4}|VALKEY\d{3}")
_SHORTEST = 9 + 1 + 8  # the magic, the end's opcode, the checksum
_END = 0xFF
_UNREADABLE = ("Wrong signature", "Can't handle RDB format version")
_WITHOUT_TOOL = 128 << 20
"""Bytes up to which the checksum is computed here where no tool can: 12 MiB take a second."""


class Damaged(Exception):
    """
    The file is not what a server wrote; the text says where.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """
    What was checked, and by what. Of a tool that does not count, the counts are None.
    """

    by: str
    keys: int | None = None
    databases: dict[str, int] | None = None


async def check_rdb(path: Path) -> Checked:
    """
    Checks the file as thoroughly as it can be checked on this machine; raises `Damaged`.

    ``valkey-check-rdb`` and ``redis-check-rdb`` read every value and the checksum. Where neither is
    installed, or neither knows the file's version, what is left are both ends of the file and, if
    it is small, the checksum.
    """
    rdb_version(path)
    for tool, program in _programs():
        status, told = await _run(tool, program, path)
        if status == 0:
            return _counted(tool, told)
        if not any(words in told for words in _UNREADABLE):
            raise Damaged(f"{path.name}: {tool} says: {_reason(told)}")
    return await asyncio.to_thread(_check_here, path)


def rdb_version(path: Path) -> str:
    """
    What the file begins with, such as ``REDIS0011``; raises `Damaged` where it is no whole RDB.
    """
    with path.open("rb") as file:
        magic = file.read(9)
        size = os.fstat(file.fileno()).st_size
        if not _MAGIC.fullmatch(magic):
            raise Damaged(f"{path.name} is no RDB file")
        if size < _SHORTEST:
            raise Damaged(f"{path.name} ends too soon")
        file.seek(-9, os.SEEK_END)
        if file.read(1)[0] != _END:
            raise Damaged(f"{path.name} ends too soon")
    return magic.decode()


def _programs() -> Iterator[tuple[str, str]]:
    # Valkey's first: it counts the keys of each database.
    valkey, redis = _TOOLS
    if found := shutil.which(valkey):
        yield valkey, found
    with suppress(ServerNotFoundError):
        server = find_server()  # which is that tool when it is called by its name
        yield (redis if "redis" in Path(server).name else valkey), server
    if found := shutil.which(redis):
        yield redis, found


async def _run(tool: str, program: str, path: Path) -> tuple[int, str]:
    options = ("--stats", "--format", "csv") if tool.startswith("valkey") else ()
    while True:
        process = await asyncio.create_subprocess_exec(
            *(tool, str(path), *options),
            executable=program,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            out, _ = await process.communicate()
        except BaseException:
            process.kill()
            await process.wait()
            raise
        told = out.decode("utf-8", "replace")
        if options and "Usage:" in told:  # Valkey 8.0 and older
            options = ()
            continue
        return process.returncode or 0, told


def _counted(tool: str, told: str) -> Checked:
    keys = re.search(r"^\[info\] (\d+) keys read", told, re.MULTILINE)
    total = int(keys[1]) if keys else None
    databases: dict[str, int] = {}
    for number, counts in re.findall(r"^db\.(\d+)\.keys\.total,([\d,]+)$", told, re.MULTILINE):
        if count := sum(map(int, counts.split(","))):
            databases[number] = count
    complete = total is not None and sum(databases.values()) == total
    return Checked(by=tool, keys=total, databases=databases if complete else None)


def _reason(told: str) -> str:
    found = re.search(r"^(\[offset \d+\].*)\n(?:\[additional info\]|\[info\])", told, re.MULTILINE)
    return found[1] if found else (told.strip().splitlines() or ["nothing"])[-1]


def _check_here(path: Path) -> Checked:
    if path.stat().st_size > _WITHOUT_TOOL:
        return Checked(by="its two ends only: no valkey-check-rdb or redis-check-rdb reads it")
    data = path.read_bytes()
    stored = int.from_bytes(data[-8:], "little")
    if stored == 0:  # `rdbchecksum no`
        return Checked(by="its two ends only: it has no checksum")
    if crc64(data[:-8]) != stored:
        raise Damaged(f"{path.name}: the checksum is wrong")
    return Checked(by="its checksum")
