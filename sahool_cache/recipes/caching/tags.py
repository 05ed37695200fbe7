"""
Tags: names that entries share, to invalidate all of them at once.
"""

from __future__ import annotations

from secrets import token_hex

from sahool_cache.recipes.caching.lease import tag_key
from sahool_cache.recipes.shared import GivenClient, client_of

__all__ = ["KEPT", "invalidate_tags"]

KEPT = 30 * 86400.0
"""Seconds that the version of a tag is kept after it was invalidated; no entry with tags may live
longer: it would be true again."""


async def invalidate_tags(*tags: str, client: GivenClient = None) -> None:
    """
    Invalidates every entry that has one of these tags, also those that are just being loaded; one
    round trip, however many entries that are. They are not removed: each is refused when it is
    read.

    Raises `UnavailableError` or `OutcomeUnknownError` when Redis is down: then they may still be
    read.
    """
    if not tags:
        return
    async with client_of(client).pipeline(transaction=True) as pipe:
        for tag in tags:
            pipe.set(tag_key(tag), token_hex(8), ex=int(KEPT))
        await pipe.execute()
