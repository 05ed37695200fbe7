"""
The `scan_iter` family: a scan whose server is replaced begins again, and so misses nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from sahool_cache.caller import Caller

__all__ = ["Scanner"]


class Scanner(Caller):
    """
    redis-py's scan iterators. A cursor means something only to the server that gave it: when
    another one has to take over, the scan starts anew. Elements may come twice, as Redis says of
    every scan.
    """

    async def _pages(self, ask: Callable[[Any], Awaitable[Any]]) -> AsyncIterator[Any]:
        chain = await self.ready()
        cursor: Any = 0
        server = None
        while True:
            before = chain.servers.steady_server(self.options.scanned)
            following, page = await ask(cursor)
            if before != chain.servers.steady_server(self.options.scanned):
                before = None
            if cursor and (before is None or before != server):
                cursor = 0
                continue
            yield page
            cursor, server = following, before
            if not cursor:
                return

    async def scan_iter(  # type: ignore[override]
        self,
        match: Any = None,
        count: int | None = None,
        _type: str | None = None,
        **options: Any,
    ) -> AsyncIterator[Any]:
        """
        Every key, in no order; one round trip for about `count` of them.
        """
        pages = self._pages(
            lambda cursor: self.scan(
                cursor=cursor, match=match, count=count, _type=_type, **options
            )
        )
        async for page in pages:
            for key in page:
                yield key

    async def sscan_iter(  # type: ignore[override]
        self, name: Any, match: Any = None, count: int | None = None
    ) -> AsyncIterator[Any]:
        """
        Every member of a set.
        """
        async for page in self._pages(
            lambda cursor: self.sscan(name, cursor=cursor, match=match, count=count)
        ):
            for member in page:
                yield member

    async def hscan_iter(  # type: ignore[override]
        self,
        name: Any,
        match: Any = None,
        count: int | None = None,
        no_values: bool | None = None,
    ) -> AsyncIterator[Any]:
        """
        Every field and value of a hash, or with `no_values` every field.
        """
        pages = self._pages(
            lambda cursor: self.hscan(
                name, cursor=cursor, match=match, count=count, no_values=no_values
            )
        )
        async for page in pages:
            for entry in page if no_values else page.items():
                yield entry

    async def zscan_iter(  # type: ignore[override]
        self,
        name: Any,
        match: Any = None,
        count: int | None = None,
        score_cast_func: Any = float,
    ) -> AsyncIterator[Any]:
        """
        Every member of a sorted set with its score.
        """
        pages = self._pages(
            lambda cursor: self.zscan(
                name, cursor=cursor, match=match, count=count, score_cast_func=score_cast_func
            )
        )
        async for page in pages:
            for entry in page:
                yield entry
