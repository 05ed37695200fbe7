"""
The asyncio client for Redis and Valkey behind Sentinel.
"""

from __future__ import annotations

from sahool_cache.address import Address
from sahool_cache.client import RedisClient
from sahool_cache.current import close_redis_client, get_redis_client
from sahool_cache.errors import (
    CircuitOpenError,
    ConnectFailedError,
    DeadlineExceededError,
    LockLostError,
    LockNotAcquiredError,
    LoginFailedError,
    MasterUnknownError,
    NeedsOwnConnectionError,
    NoReplicaError,
    NotDurableError,
    OutcomeUnknownError,
    OverloadedError,
    ReadOnlyViewError,
    SahoolCacheError,
    UnavailableError,
    UsageError,
)
from sahool_cache.events import Event
from sahool_cache.incident import Incident
from sahool_cache.observers import Observer
from sahool_cache.recipes import (
    DistributedLock,
    Limit,
    RateLimiter,
    RateLimitResult,
    ResultCache,
    cache_result,
    invalidate_tags,
)
from sahool_cache.routing.topology import Topology
from sahool_cache.settings import NearCacheSettings, RedisSettings, TLSSettings

__all__ = [
    "Address",
    "CircuitOpenError",
    "ConnectFailedError",
    "DeadlineExceededError",
    "DistributedLock",
    "Event",
    "Incident",
    "Limit",
    "LockLostError",
    "LockNotAcquiredError",
    "LoginFailedError",
    "MasterUnknownError",
    "NearCacheSettings",
    "NeedsOwnConnectionError",
    "NoReplicaError",
    "NotDurableError",
    "Observer",
    "OutcomeUnknownError",
    "OverloadedError",
    "RateLimitResult",
    "RateLimiter",
    "ReadOnlyViewError",
    "RedisClient",
    "RedisSettings",
    "ResultCache",
    "SahoolCacheError",
    "TLSSettings",
    "Topology",
    "UnavailableError",
    "UsageError",
    "cache_result",
    "close_redis_client",
    "get_redis_client",
    "invalidate_tags",
]
