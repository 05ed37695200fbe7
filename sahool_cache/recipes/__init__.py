"""
Caching, rate limiting and locking, built on the public client only.
"""

from __future__ import annotations

from sahool_cache.recipes.cache_result import cache_result
from sahool_cache.recipes.caching.rules import CacheOptions
from sahool_cache.recipes.caching.tags import invalidate_tags
from sahool_cache.recipes.distributed_lock import DistributedLock
from sahool_cache.recipes.limiting.limit import Limit
from sahool_cache.recipes.limiting.result import RateLimitResult
from sahool_cache.recipes.rate_limiter import RateLimiter
from sahool_cache.recipes.result_cache import CacheInfo, ResultCache

__all__ = [
    "CacheInfo",
    "CacheOptions",
    "DistributedLock",
    "Limit",
    "RateLimitResult",
    "RateLimiter",
    "ResultCache",
    "cache_result",
    "invalidate_tags",
]
