"""
How a client finds its group and how it behaves: keyword > URL > environment > ``.env`` > default.
"""

from __future__ import annotations

from sahool_cache.settings.fields import AddressMap, Durability, ReadFrom, durability
from sahool_cache.settings.files import file_signature
from sahool_cache.settings.model import RedisSettings
from sahool_cache.settings.near_cache import NearCacheSettings, near_cache_limits
from sahool_cache.settings.tls import TLSChoice, TLSSettings, ssl_context

__all__ = [
    "AddressMap",
    "Durability",
    "NearCacheSettings",
    "ReadFrom",
    "RedisSettings",
    "TLSChoice",
    "TLSSettings",
    "durability",
    "file_signature",
    "near_cache_limits",
    "ssl_context",
]
