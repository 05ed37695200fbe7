"""
The bytes that a server sends to a replica, up to the end of the RDB.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["SYNC", "RdbStream", "SyncRefused", "introduction"]

_MARK = 40  # bytes that end an RDB of unknown length
_LONGEST_LINE = 1024

SYNC = ("PSYNC", "?", "-1")
"""What asks for the RDB; refused while a reply to the introduction is still on its way."""


class SyncRefused(Exception):
    """
    The server does not send its data; the text is what it said.
    """


def introduction(version: str, *, announce: tuple[str, int] | None = None) -> list[tuple[str, ...]]:
    """
    What a replica says that wants one RDB and nothing after it.

    `version` is the server's own: Valkey sends an RDB that a server of that version can read, and
    where none is named an old one, which fails if a hash field has a time to live. `announce` is
    the address under which the server lists us among its replicas.
    """
    commands: list[tuple[str, ...]] = [
        ("REPLCONF", "rdb-only", "1"),
        ("REPLCONF", "capa", "eof"),
        ("REPLCONF", "version", version),
    ]
    if announce is not None:
        commands.append(("REPLCONF", "ip-address", announce[0]))
        commands.append(("REPLCONF", "listening-port", str(announce[1])))
    return commands


class RdbStream:
    """
    Reads the replies to `introduction` and `SYNC`, and hands every byte of the RDB to `sink`.

    Both forms are read: ``$<length>``, made on the server's disk, and ``$EOF:<mark>``, sent while
    it is made. `feed` raises `SyncRefused`, and what `sink` raises.
    """

    def __init__(self, sink: Callable[[bytes], object]) -> None:
        self.replid = ""
        self.offset = -1
        self.total: int | None = None
        """Bytes of the RDB, as soon as they are known."""
        self.replies = 0
        """Replies to the introduction that have come."""
        self.received = 0
        """Bytes of it that have come."""
        self.complete = False
        self._sink = sink
        self._head = bytearray()
        self._mark: bytes | None = None
        self._tail = b""
        self._in_body = False

    def feed(self, data: bytes) -> None:
        """
        Takes the bytes that have come.
        """
        if not self._in_body:
            data = self._read_head(data)
        if data and not self.complete:
            self._read_body(data)

    def _read_head(self, data: bytes) -> bytes:
        self._head += data
        while not self._in_body:
            line, found, rest = self._head.partition(b"\n")
            if not found:
                if len(line) > _LONGEST_LINE:
                    raise SyncRefused("it does not speak the replication protocol")
                return b""
            self._head = rest
            self._read_line(line.strip().decode("utf-8", "replace"))
        return bytes(self._head)

    def _read_line(self, line: str) -> None:
        # Empty lines keep the connection alive while the server forks and saves.
        if line.startswith("-") and "REPLCONF option" not in line:  # Redis knows no `version`
            raise SyncRefused(line[1:])
        if line.startswith("+FULLRESYNC"):
            words = line.split()
            if len(words) != 3 or not words[2].isdecimal():
                raise SyncRefused(f"it answers {line!r}")
            self.replid, self.offset = words[1], int(words[2])
        elif line.startswith("$"):
            self._begin_body(line[1:])
        elif line:
            self.replies += 1

    def _begin_body(self, form: str) -> None:
        if self.offset < 0:
            raise SyncRefused("it sends data before it says of when")
        self._in_body = True
        mark = form.removeprefix("EOF:").encode()
        if form.startswith("EOF:") and len(mark) == _MARK:
            self._mark = mark
        elif form.isdecimal():
            self.total = int(form)
        else:
            raise SyncRefused(f"it announces its data with {form!r}")

    def _read_body(self, data: bytes) -> None:
        if self._mark is None:
            data = data[: (self.total or 0) - self.received]
        else:
            # The mark is the last that comes, and may come in two parts.
            data = self._tail + data
            data, self._tail = data[:-_MARK], data[-_MARK:]
        self.received += len(data)
        self._sink(data)
        if self._tail == self._mark or self.received == self.total:
            self.complete = True
            self.total = self.received
