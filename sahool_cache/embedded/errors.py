"""
What an embedded group raises of its own.
"""

from __future__ import annotations

from sahool_cache.errors import SahoolCacheError

__all__ = ["EmbeddedError", "ServerNotFoundError"]


class EmbeddedError(SahoolCacheError):
    """
    The group could not be started, or a fault was asked for that cannot happen.

    Where a process failed, the message ends with the tail of its log.
    """


class ServerNotFoundError(EmbeddedError):
    """
    No Redis or Valkey server was found on this machine; the message says how to get one.
    """
