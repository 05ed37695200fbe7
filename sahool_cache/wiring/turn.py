"""
Whose turn it is among the replicas that serve reads.
"""

from __future__ import annotations

from sahool_cache.connection.lane import Lane
from sahool_cache.connection.node import lightest

__all__ = ["Turn"]

MOST = 100
"""Commands that one replica takes in a tick before it is another's turn."""


class Turn:
    """
    `reader` is the lane that takes what is read in this tick, until it has `limit` replies due; one
    of `lanes`, or None where there are none. Sharing each call out would halve every write.
    """

    def __init__(self) -> None:
        self.lanes: tuple[Lane, ...] = ()
        self.reader: Lane | None = None
        self.limit = 0

    def among(self, lanes: tuple[Lane, ...]) -> None:
        """
        Chooses among these from now on.
        """
        self.lanes = lanes
        self.next()

    def next(self) -> Lane | None:
        """
        The lightest lane, of equals the one after the last.
        """
        lanes = self.lanes
        if self.reader in lanes:
            place = lanes.index(self.reader) + 1
            lanes = lanes[place:] + lanes[:place]
        self.reader = reader = lightest(lanes)
        self.limit = len(reader.due) + MOST if reader is not None else 0
        return reader
