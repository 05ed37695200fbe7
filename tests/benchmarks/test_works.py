from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import pytest

from tests.benchmarks.works import WORKS, Data


class Careless:
    """
    Recipes that are quick, since they do nothing.
    """

    def cached(self, load: Any) -> Callable[[int], Awaitable[Any]]:
        return self.nothing

    def hits(self) -> Callable[[int], Awaitable[Any]]:
        return self.nothing

    def limiter(self, most: int) -> Callable[[str], Awaitable[Any]]:
        return self.yes

    def lock(self, name: str) -> AbstractAsyncContextManager[Any]:
        return nullcontext()

    async def nothing(self, number: int) -> None:
        return None

    async def yes(self, identifier: str) -> bool:
        return True


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("work", "told"),
    [
        ("cache-hit-100", "a hit is None"),
        ("limiter-100", r"allows \[True, True, True\]"),
        ("lock-100", "several have the lock"),
        ("lock-hand-over", "several have the lock"),
    ],
)
async def test_recipes_that_do_not_what_they_say_are_found_out(work: str, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        await WORKS[work].check(Careless(), Data(100))
