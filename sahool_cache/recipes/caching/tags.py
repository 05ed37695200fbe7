"""
Tags: names that entries share, to invalidate all of them at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from secrets import token_hex

from sahool_cache.recipes.caching.lease import tag_key
from sahool_cache.recipes.shared import GivenClient, client_of

__all__ = ["KEPT", "distinct", "invalidate_tags"]

KEPT = 30 * 86400.0
"""Seconds that the version of a tag is kept after it was invalidated; no entry with tags may live
longer: it would be true again."""


def distinct(tags: Iterable[str]) -> tuple[str, ...]:
    """
    Each tag once. Raises `TypeError` for what is no collection of texts.
    """
    names = tuple(tags)
    if isinstance(tags, str) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"tags are several texts, and {tags!r} is not")
    return tuple(dict.fromkeys(names))


async def invalidate_tags(*tags: str, client: GivenClient = None) -> None:
    """
    Invalidates every entry that has one of these tags, also those that are just being loaded; one
    round trip, however many entries that are. They are not removed: each is refused when it is
    read.

    Raises `UnavailableError` or `OutcomeUnknownError` when Redis is down: then they may still be
    read.
    """
    names = distinct(tags)
    if not names:
        return
    async with client_of(client).pipeline(transaction=True) as pipe:
        for tag in names:
            pipe.set(tag_key(tag), token_hex(8), ex=int(KEPT))
        await pipe.execute()
