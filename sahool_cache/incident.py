"""
What is known of one failover afterwards: a frozen record, its line in the log, its timeline.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

__all__ = ["Incident", "Step", "Unknown", "Waited", "read_incidents"]

_MARK = " | incident="


class Waited(msgspec.Struct, frozen=True, kw_only=True):
    """
    Calls of one command that waited in line: how many, and the longest in seconds.
    """

    command: str
    calls: int
    longest: float


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """
    A call that was sent and not answered: it may or may not have run.
    """

    at: float
    command: str
    node: str | None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """
    One event on the way.
    """

    at: float
    text: str


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """
    One failover. `began` is the time of its first sign; all other times are seconds from there,
    None where that did not happen.

    `fenced`: new commands to the old master were held. `elected`: a replica was chosen.
    `promoted`: we followed the new master. `first_write`: it acknowledged a write that had waited
    for it. `confirmed`: a config-epoch named it. `outage` are the seconds without a usable master.
    `unknown` lists the first hundred of `unknown_calls`, `lanes` how each server answered before.
    """

    master_name: str
    began: datetime
    old: str
    new: str
    epoch: int
    fenced: float | None = None
    elected: float | None = None
    promoted: float
    first_write: float | None = None
    confirmed: float | None = None
    outage: float | None = None
    waited: tuple[Waited, ...] = ()
    unknown_calls: int = 0
    unknown: tuple[Unknown, ...] = ()
    lanes: tuple[Step, ...] = ()
    timeline: tuple[Step, ...] = ()

    @property
    def summary(self) -> str:
        """
        The whole of it in one sentence.
        """
        calls = sum(each.calls for each in self.waited)
        longest = max((each.longest for each in self.waited), default=0.0)
        gap = "no pause" if self.outage is None else f"{self.outage:.3f} s without a master"
        line = f"{calls} calls waited" + (f", {longest:.3f} s at most" if calls else "")
        return (
            f"failover of {self.master_name}: {self.old} -> {self.new} (epoch {self.epoch}), "
            f"{gap}; {line}; {self.unknown_calls} outcomes unknown"
        )

    @property
    def line(self) -> str:
        """
        The sentence, and the record itself for `sahool-cache explain`.
        """
        return f"{self.summary}{_MARK}{msgspec.json.encode(self).decode()}"

    def as_dict(self) -> dict[str, Any]:
        """
        The record as plain data, as JSON would have it.
        """
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return plain


def read_incidents(text: str) -> Iterator[Incident]:
    """
    The incidents in the lines of a log, in their order; other lines, and torn ones, are skipped.
    """
    for line in text.splitlines():
        _, mark, record = line.partition(_MARK)
        end = record.rfind("}")
        if mark and end > 0:
            try:
                yield msgspec.json.decode(record[: end + 1], type=Incident)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
