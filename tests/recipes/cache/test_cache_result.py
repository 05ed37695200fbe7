"""
What a cached function gives, and what it stores.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import json
import logging
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from sahool_cache import RedisClient, close_redis_client
from sahool_cache.embedded import EmbeddedSentinel
from sahool_cache.recipes import CacheInfo, ResultCache, cache_result, invalidate_tags
from tests.recipes.cache.source import Source, eventually, ttl_of

pytestmark = pytest.mark.asyncio


@dataclass
class User:
    id: int
    name: str
    friends: tuple[int, ...] = ()


async def test_a_result_is_loaded_once_and_then_read(redis: RedisClient) -> None:
    source = Source()

    @cache_result("user:profile", ttl=60, client=redis)
    async def profile(user_id: int) -> User:
        await source.load()
        return User(user_id, "Ahmed", (1, 2))

    expected = User(7, "Ahmed", (1, 2))
    assert [await profile(7), await profile(user_id=7), await profile(7)] == [expected] * 3
    assert source.loads == 1
    assert await profile(8) == User(8, "Ahmed", (1, 2))
    assert profile.cache_info() == CacheInfo(
        hits=2, stale=0, misses=2, loads=2, failures=0, outages=0
    )


async def test_its_key_and_its_entry_are_those_that_are_documented(redis: RedisClient) -> None:
    @cache_result("user:profile", ttl=60, client=redis)
    async def profile(user_id: int) -> User:
        return User(user_id, "Ahmed")

    await profile(7)
    assert await redis.keys("*") == [profile.key_for(7)]
    entry = json.loads(await redis.get(profile.key_for(7)) or "")
    assert entry.keys() == {"v", "at", "ttl", "took", "data"}
    assert (entry["v"], entry["data"]) == (1, {"id": 7, "name": "Ahmed", "friends": []})
    assert 57 <= entry["ttl"] <= 60
    assert await ttl_of(redis, profile.key_for(7)) == pytest.approx(entry["ttl"], abs=1)


async def test_ttls_differ_by_chance_and_are_never_longer_than_said(redis: RedisClient) -> None:
    exact = ResultCache(int, ttl=timedelta(minutes=1), client=redis, jitter=0)
    spread = ResultCache(int, ttl=60, client=redis, jitter=0.5)
    source = Source()
    for number in range(30):
        await exact.get_or_load(f"exact:{number}", source.load)
        await spread.get_or_load(f"spread:{number}", source.load)
    exacts = [await ttl_of(redis, f"exact:{number}") for number in range(30)]
    spreads = [await ttl_of(redis, f"spread:{number}") for number in range(30)]
    assert all(59 < ttl <= 60 for ttl in exacts)
    assert all(29 < ttl <= 60 for ttl in spreads)
    assert max(spreads) - min(spreads) > 5


async def test_the_result_may_say_how_long_it_is_kept(redis: RedisClient) -> None:
    @cache_result("token", ttl=lambda token: token["expires_in"], client=redis, jitter=0)
    async def token(expires_in: float) -> dict[str, float]:
        return {"expires_in": expires_in}

    await token(5)
    assert 4 < await ttl_of(redis, token.key_for(5)) <= 5
    await token(0)
    assert not await redis.exists(token.key_for(0))
    with pytest.raises(ValueError, match="ttl must be at least 0"):
        await token(-1)


async def test_none_is_a_result_with_a_ttl_of_its_own(redis: RedisClient) -> None:
    source = Source()

    @cache_result("user", ttl=60, none_ttl=5, jitter=0, client=redis)
    async def find(user_id: int) -> User:
        await source.load()
        return None  # type: ignore[return-value]  # as sloppy annotations have it

    assert [await find(1), await find(1)] == [None, None]
    assert source.loads == 1
    assert 4 < await ttl_of(redis, find.key_for(1)) <= 5


async def test_none_may_be_left_out(redis: RedisClient) -> None:
    source = Source(None)
    cache = ResultCache(int | None, client=redis, none_ttl=0)
    for _ in range(3):
        assert await cache.get_or_load("k", source.load) is None
    assert source.loads == 3
    source.value = 5
    assert [await cache.get_or_load("k", source.load) for _ in range(3)] == [5, 5, 5]
    assert source.loads == 4


async def test_only_what_a_condition_allows_is_stored(redis: RedisClient) -> None:
    source = Source([])
    cache = ResultCache(list[int], client=redis, when=bool)
    assert [await cache.get_or_load("k", source.load) for _ in range(2)] == [[], []]
    assert await redis.keys("*") == []
    source.value = [1]
    assert [await cache.get_or_load("k", source.load) for _ in range(2)] == [[1], [1]]
    assert source.loads == 3


class Model(BaseModel):
    id: int
    name: str = "x"


async def test_callers_have_results_of_their_own_and_of_one_type(redis: RedisClient) -> None:
    """
    The first caller too: what the function returned has gone through JSON for it as well.
    """

    @cache_result("m", client=redis)
    async def models(count: int) -> list[Model]:
        await asyncio.sleep(0.01)
        return [Model(id=number) for number in range(count)]

    @cache_result("u", client=redis)
    async def untyped(count: int):  # type: ignore[no-untyped-def]  # noqa: ANN202
        return {"range": tuple(range(count))}

    given = await asyncio.gather(*(models(2) for _ in range(3)))
    given[0][0].name = "changed"
    assert given[1] == given[2] == await models(2) == [Model(id=0), Model(id=1)]
    assert await untyped(2) == await untyped(2) == {"range": [0, 1]}


async def test_a_result_that_cannot_be_stored_is_given_as_it_is(
    redis: RedisClient, caplog: pytest.LogCaptureFixture
) -> None:
    strange = object()
    source = Source(strange)
    cache = ResultCache(client=redis)
    wrong: ResultCache[Any] = ResultCache(int, client=redis)
    with caplog.at_level(logging.WARNING, "sahool_cache.recipes"):
        assert await cache.get_or_load("k", source.load) is strange
        assert await wrong.get_or_load("k", Source("five").load) == "five"
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "k is not stored"
    ] * 2
    assert await redis.keys("*") == []


@pytest.mark.parametrize(
    "found", [b"", b"\xff\xfe\x00", b"Ahmed", b'{"v":2}', b"z1:AAAA", b'{"v":1,"at":1,"data":1}']
)
@pytest.mark.parametrize("decode", [True, False])
async def test_whatever_else_is_found_is_a_miss_and_is_replaced(
    redis: RedisClient, server: EmbeddedSentinel, found: bytes, decode: bool
) -> None:
    settings = server.settings.model_copy(update={"decode_responses": decode})
    async with RedisClient(settings) as client:
        source = Source(5)
        cache = ResultCache(int, client=client)
        await redis.set("k", found)
        assert [await cache.get_or_load("k", source.load) for _ in range(3)] == [5, 5, 5]
        assert source.loads == 1


async def test_a_key_of_another_type_is_a_miss_and_is_replaced(redis: RedisClient) -> None:
    source = Source(5)
    cache = ResultCache(int, client=redis)
    await redis.rpush("k", 1, 2)
    assert [await cache.get_or_load("k", source.load) for _ in range(3)] == [5, 5, 5]
    assert source.loads == 1


async def test_an_entry_of_another_type_than_before_is_a_miss(redis: RedisClient) -> None:
    source = Source({"id": 1})
    assert await ResultCache(dict[str, int], client=redis).get_or_load("k", source.load) == {
        "id": 1
    }
    numbers: ResultCache[int] = ResultCache(int, client=redis)
    other = Source(5)
    assert [await numbers.get_or_load("k", other.load) for _ in range(2)] == [5, 5]
    assert other.loads == 1


async def test_large_results_may_be_compressed(redis: RedisClient, other: RedisClient) -> None:
    source = Source("a" * 100_000)
    cache = ResultCache(str, client=redis, compress_from=1000)
    assert await cache.get_or_load("k", source.load) == source.value
    assert await redis.strlen("k") < 1000
    assert await ResultCache(str, client=other).get_or_load("k", source.load) == source.value
    assert source.loads == 1


async def test_one_tag_invalidates_all_that_have_it(redis: RedisClient) -> None:
    source = Source()

    @cache_result("p", client=redis, tags=("users", "user:{user_id}", "users"))
    async def profile(user_id: int) -> int:
        return await source.load()

    @cache_result("o", client=redis, tags=lambda user_id: [f"user:{user_id}"])
    async def orders(user_id: int) -> int:
        return await source.load()

    async def loads() -> int:
        before = source.loads
        for user_id in (1, 2):
            await profile(user_id)
            await orders(user_id)
        return source.loads - before

    assert [await loads(), await loads()] == [4, 0]
    await invalidate_tags("user:1", client=redis)
    assert [await loads(), await loads()] == [2, 0]
    await invalidate_tags("users", "nobody", client=redis)
    assert [await loads(), await loads()] == [2, 0]
    assert 0 < await ttl_of(redis, "cache_tag:user:1") <= 30 * 86400


async def test_tags_that_are_no_texts_are_refused(redis: RedisClient) -> None:
    async def get(user_id: int) -> int:
        return user_id

    for tags in (lambda user_id: f"user:{user_id}", lambda user_id: [user_id]):
        with pytest.raises(TypeError, match="tags are several texts"):
            await cache_result("p", client=redis, tags=tags)(get)(1)  # type: ignore[arg-type]
    cache, source = ResultCache(int, client=redis), Source()
    for read in (cache.get_or_load, cache.refresh):
        with pytest.raises(TypeError, match="tags are several texts"):
            await read("k", source.load, tags="users")
    with pytest.raises(TypeError, match="tags are several texts"):
        await invalidate_tags(["users"], client=redis)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"tags: .*no parameter 'id'"):
        cache_result("p", tags=("user:{id}",))(get)
    assert source.loads == 0


async def test_invalidating_and_refreshing_one_result(redis: RedisClient) -> None:
    source = Source(1)

    @cache_result("p", client=redis)
    async def get(key: str) -> int:
        return await source.load()

    assert await get.invalidate("a") is False
    assert await get("a") == 1
    source.value = 2
    assert await get("a") == 1
    assert await get.refresh("a") == 2
    source.value = 3
    assert await get("a") == 2
    assert await get.invalidate("a") is True
    assert await get("a") == 3
    assert source.loads == 3


class Repository:
    def __init__(self, source: Source) -> None:
        self.source = source

    @cache_result("p", client=lambda: _CURRENT[0])
    async def find(self, user_id: int, *, lang: str = "ar") -> str:
        return f"{user_id} {lang} {await self.source.load()}"


_CURRENT: list[RedisClient] = []


async def test_methods_and_a_client_that_is_found_at_each_call(redis: RedisClient) -> None:
    _CURRENT[:] = [redis]
    source = Source("x")
    first, second = Repository(source), Repository(source)
    assert await first.find(7) == await second.find(7, lang="ar") == "7 ar x"
    assert await Repository.find(first, 7) == "7 ar x"
    assert source.loads == 1
    assert await second.find.refresh(7) == "7 ar x"
    assert await first.find.invalidate(7) is True
    assert first.find.cache_info().loads == Repository.find.cache_info().loads >= 2
    assert "find" in repr(first.find)
    assert str(inspect.signature(first.find)) == "(user_id: 'int', *, lang: 'str' = 'ar') -> 'str'"


async def test_without_a_client_it_is_the_current_one(
    redis: RedisClient, server: EmbeddedSentinel, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, port = server.settings.sentinels[0]
    monkeypatch.setenv("REDIS_SENTINEL_HOST_1", f"{host}:{port}")
    monkeypatch.setenv("REDIS_MASTER_NAME", server.settings.master_name)

    @cache_result("p")
    async def get(key: str) -> str:
        return key

    try:
        assert await get("a") == "a"
        assert await redis.exists(get.key_for("a"))
    finally:
        await close_redis_client()


async def test_it_looks_like_the_function() -> None:
    async def get(key: str, *, many: int = 1) -> int:
        """
        Gets it.
        """
        return many

    cached = cache_result("p")(get)
    assert (cached.__name__, cached.__doc__, cached.__wrapped__) == ("get", get.__doc__, get)
    assert inspect.signature(cached) == inspect.signature(get)
    assert inspect.iscoroutinefunction(cached.__call__)


@cache_result("p")
async def importable(key: str) -> str:
    return key


async def test_it_is_copied_and_pickled_as_the_function_it_is() -> None:
    assert copy.copy(importable) is copy.deepcopy(importable) is importable
    assert pickle.loads(pickle.dumps(importable)) is importable  # noqa: S301
    method = Repository(Source()).find
    assert copy.copy(method).key_for(7) == method.key_for(7)


def traced(function: Callable[..., Any]) -> Any:
    """
    As a decorator of another library, which knows nothing of the names that are used here.
    """
    make = (
        "def make(function):\n"
        "    @wraps(function)\n"
        "    async def call(*args, **kwargs):\n"
        "        return await function(*args, **kwargs)\n"
        "    return call"
    )
    library: dict[str, Any] = {"wraps": functools.wraps}
    exec(make, library)  # noqa: S102
    return library["make"](function)


class Wrapped:
    @cache_result("p", client=lambda: _CURRENT[0])
    @traced
    async def later(self) -> Afterwards:
        return Afterwards(1)

    @cache_result("p", client=lambda: _CURRENT[0])
    async def elsewhere(self) -> sys.modules[__name__].Afterwards:  # type: ignore[valid-type]
        return Afterwards(1)


@dataclass
class Afterwards:
    id: int


async def test_a_type_that_is_defined_afterwards_is_found(redis: RedisClient) -> None:
    _CURRENT[:] = [redis]
    for method in (Wrapped().later, Wrapped().elsewhere):
        assert [await method(), await method()] == [Afterwards(1), Afterwards(1)]


async def test_a_local_type_is_found(redis: RedisClient) -> None:
    @dataclass
    class Local:
        id: int

    @cache_result("p", client=redis)
    async def get(id_: int) -> Local:
        return Local(id_)

    assert [await get(1), await get(1)] == [Local(1), Local(1)]


async def test_a_type_that_cannot_be_found_is_an_error_that_says_so(redis: RedisClient) -> None:
    async def get() -> Nowhere:  # type: ignore[name-defined]  # noqa: F821
        return 1

    with pytest.raises(TypeError, match=r"annotated to return 'Nowhere'.*import it"):
        await cache_result("p", client=redis)(get)()


async def test_wrong_use_is_refused_where_it_is_written() -> None:
    async def get(key: str) -> str:
        return key

    def synchronous(key: str) -> str:
        return key

    with pytest.raises(TypeError, match="async def"):
        cache_result("p")(synchronous)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="async def"):
        cache_result("p")(functools.partial(get, "a"))
    with pytest.raises(TypeError, match="needs a prefix"):
        cache_result(get)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="tuple"):
        cache_result("p", tags="users")
    with pytest.raises(TypeError, match="unexpected keyword argument 'tll'"):
        cache_result("p", tll=3)(get)  # type: ignore[call-arg]
    for name, value in (
        *(
            ("ttl", 0),
            ("ttl", -1),
            ("ttl", float("nan")),
            ("ttl", True),
            ("ttl", "60"),
            ("ttl", 1e300),
        ),
        *(("none_ttl", -1), ("jitter", 1), ("jitter", -0.1), ("on_outage", "ignore")),
        *(("stale_if_error", -1), ("stale_while_revalidate", "x"), ("early_refresh", -1)),
        *(("soft_timeout", 0), ("hard_timeout", -1), ("timeout", 0), ("hard_timeout", None)),
    ):
        with pytest.raises(ValueError, match=name):
            cache_result("p", **{name: value})(get)  # type: ignore[arg-type]
    for name, value in (("compress_from", "1"), ("when", 1), ("jitter", "x")):
        with pytest.raises(TypeError):
            cache_result("p", **{name: value})(get)  # type: ignore[arg-type]


async def test_a_hit_is_one_round_trip_and_a_miss_three(redis: RedisClient) -> None:
    cache = ResultCache(int, client=redis)
    source = Source(5)

    async def commands() -> int:
        return int((await redis.info("stats"))["total_commands_processed"])

    await cache.get_or_load("warm", source.load)
    before = await commands()
    await cache.get_or_load("k", source.load)
    missed = await commands() - before
    before = await commands()
    for _ in range(100):
        await cache.get_or_load("k", source.load)
    hit = await commands() - before
    # What the server counts: the call of a script and each command in it; INFO; the client's own
    # look at the group, now and then.
    assert 100 <= hit <= 105
    assert missed <= 15
    assert (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] >= 2


async def test_reads_may_come_from_a_replica() -> None:
    async with (
        EmbeddedSentinel(replicas=1, sentinels=1) as group,
        RedisClient(group.settings) as redis,
    ):
        await eventually(lambda: len(redis.topology.in_rotation) == 1)
        source = Source(5)
        cache = ResultCache(int, client=redis, use_slave=True)
        assert await cache.get_or_load("k", source.load) == 5
        await redis.wait(1, 1000)
        assert [await cache.get_or_load("k", source.load) for _ in range(3)] == [5, 5, 5]
        assert source.loads == 1
        stats = await group.command(group.replicas[0], "INFO", "commandstats")
        assert "cmdstat_get:calls=4" in stats  # the miss as well
