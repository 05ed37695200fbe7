"""
Reads that are answered from this process, kept true by the server's invalidations.
"""

from __future__ import annotations

from sahool_cache.near_cache.cache import NearCache, NearCacheStats
from sahool_cache.near_cache.calls import CACHED
from sahool_cache.near_cache.source import ELSEWHERE

__all__ = ["CACHED", "ELSEWHERE", "NearCache", "NearCacheStats"]
