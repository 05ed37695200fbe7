"""
A directory of backups: one writer at a time, no half file under a final name, the oldest removed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, timedelta
from pathlib import Path
from typing import BinaryIO

import msgspec

from sahool_cache.cli.answer import Refused
from sahool_cache.cli.backup.sidecar import SUFFIX, Sidecar, read_sidecar, sidecar_path
from sahool_cache.cli.exit_status import ExitStatus

__all__ = ["Archive", "Draft", "newest_backup"]

_LOCK = ".sahool-cache-backup.lock"
_DRAFT = ".sahool-cache-backup."  # the names of drafts begin so; nobody else's do
_PRIVATE = 0o600
_ANEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL  # through nobody's link


class Draft:
    """
    A backup that is being written, under a name that nobody takes for a backup.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._hash = hashlib.sha256()
        self._file: BinaryIO = os.fdopen(os.open(path, _ANEW, _PRIVATE), "wb")

    def write(self, data: bytes) -> None:
        """
        Adds bytes to it.
        """
        self._file.write(data)
        self._hash.update(data)

    def begin_again(self) -> None:
        """
        Empties it.
        """
        self._file.seek(0)
        self._file.truncate()
        self._hash = hashlib.sha256()

    def finish(self) -> str:
        """
        Brings it to the disk, and returns its SHA-256.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._hash.hexdigest()

    def discard(self) -> None:
        """
        Closes it, and removes it if it has not got its final name.
        """
        try:
            self._file.close()
        finally:  # closing writes what is buffered, and the disk may be full
            self.path.unlink(missing_ok=True)


class Archive:
    """
    The backups in a directory; `locked` makes it and lets nobody else write into it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @contextmanager
    def locked(self) -> Iterator[None]:
        """
        Holds the directory's lock; raises `Refused` where somebody else holds it.
        """
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(self.directory / _LOCK, os.O_RDWR | os.O_CREAT, _PRIVATE)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refused(
                    f"another backup is being taken into {self.directory}", ExitStatus.DOWN
                ) from None
            for left in self.directory.glob(f"{_DRAFT}*{SUFFIX}"):
                left.unlink(missing_ok=True)  # of a process that was killed
            yield
        finally:
            os.close(lock)

    @contextmanager
    def draft(self) -> Iterator[Draft]:
        """
        A new draft, which is gone at the end unless it was published.
        """
        draft = Draft(self.directory / f"{_DRAFT}{os.getpid()}{SUFFIX}")
        try:
            yield draft
        finally:
            draft.discard()

    def publish(self, draft: Draft, sidecar: Sidecar) -> Path:
        """
        Gives a finished draft its name, and returns it. The sidecar comes first: a backup without
        one is never seen.
        """
        path = self.directory / _name(sidecar)
        beside = sidecar_path(path)
        text = msgspec.json.format(msgspec.json.encode(sidecar))
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT, _PRIVATE), "wb") as file:
                file.truncate()
                file.write(text + b"\n")
                file.flush()
                os.fsync(file.fileno())
            draft.path.rename(path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
        directory = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(directory)  # the two names
        finally:
            os.close(directory)
        return path

    def outdated(
        self, newest: Path, sidecar: Sidecar, *, keep: int, keep_days: int | None
    ) -> list[Path]:
        """
        The backups of the same master that neither `keep` nor `keep_days` keeps. What has no
        sidecar, or one of another master, is nobody's to remove; `newest` stays.
        """
        backups = sorted(
            (
                (other.taken, path)
                for path, other in _with_sidecars(self.directory)
                if other.master_name == sidecar.master_name and path != newest
            ),
            reverse=True,
        )
        kept_since = sidecar.taken - timedelta(days=keep_days) if keep_days is not None else None
        return [
            path for taken, path in backups[keep - 1 :] if kept_since is None or taken < kept_since
        ]

    @staticmethod
    def remove(backup: Path) -> Path:
        """
        Removes a backup and its sidecar.
        """
        backup.unlink()
        sidecar_path(backup).unlink(missing_ok=True)
        return backup


def newest_backup(directory: Path, master_name: str | None = None) -> Path | None:
    """
    The newest backup in a directory, of that master or of any, by what the sidecars say.
    """
    found = (
        (sidecar.taken, path)
        for path, sidecar in _with_sidecars(directory)
        if master_name in (None, sidecar.master_name)
    )
    return max(found, default=(None, None))[1]


def _with_sidecars(directory: Path) -> Iterator[tuple[Path, Sidecar]]:
    for path in directory.glob(f"*{SUFFIX}"):
        sidecar = read_sidecar(path)
        if sidecar is not None:
            yield path, sidecar


def _name(sidecar: Sidecar) -> str:
    taken = sidecar.taken.astimezone(UTC)
    master = re.sub(r"[^A-Za-z0-9_-]+", "_", sidecar.master_name)
    return f"{master}-{taken:%Y%m%dT%H%M%SZ}-epoch{sidecar.epoch}-{sidecar.offset}{SUFFIX}"
