"""
What a cache has done in this process.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CacheInfo", "Tally"]


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """
    What one cache has done in this process. `hits` were answered with a fresh result, `stale` with
    an older one; `misses` had to wait. The function was called `loads` times, with `failures` among
    them; `outages` is how often Redis could not be reached.
    """

    hits: int
    stale: int
    misses: int
    loads: int
    failures: int
    outages: int


@dataclass(slots=True)
class Tally:
    """
    A `CacheInfo` that goes on.
    """

    hits: int = 0
    stale: int = 0
    misses: int = 0
    loads: int = 0
    failures: int = 0
    outages: int = 0
