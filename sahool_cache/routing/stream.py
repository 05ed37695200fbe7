"""
How far a master's stream of writes had come, and when: by that a replica's lag is told.
"""

from __future__ import annotations

import math
from collections import deque

__all__ = ["Stream"]

SAMPLES = 1024


class Stream:
    """
    Samples of one master's replication offset, in bytes.

    What a replica says of its last contact does not tell how old its data is: one that works
    through a backlog acknowledges every second, too.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES)

    def note(self, at: float, offset: int) -> None:
        """
        Adds a sample; a stream that has become shorter is another one.
        """
        if self._samples and offset < self._samples[-1][1]:
            self._samples.clear()
        self._samples.append((at, offset))

    def behind(self, offset: int, now: float) -> float:
        """
        The seconds since the master was at that offset, to the sample at which it is not behind;
        between two samples the stream is taken for steady. Infinite before the first one.
        """
        after: tuple[float, int] | None = None
        for at, reached in reversed(self._samples):
            if reached <= offset:
                if after is None:
                    return 0.0
                share = (offset - reached) / (after[1] - reached)
                return now - (at + share * (after[0] - at))
            after = at, reached
        return 0.0 if after is None else math.inf

    def caught_up(self, offset: int) -> bool:
        """
        Whether a replica at that offset has all that was written up to the sample before the last.
        """
        samples = self._samples
        return not samples or offset >= samples[max(len(samples) - 2, 0)][1]
