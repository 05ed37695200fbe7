"""
Our methods are called as redis-py's are: the same parameters, and `use_slave` where we add it.
"""

from __future__ import annotations

import inspect
from inspect import Parameter
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline as RedisPipeline

from sahool_cache import RedisClient
from sahool_cache.pinned import PinnedClient
from sahool_cache.pipeline import Pipeline
from sahool_cache.replica_reads import ReplicaReads
from sahool_cache.scope import Scope
from sahool_cache.view import View

WITH_USE_SLAVE = {name for name in vars(ReplicaReads) if not name.startswith("_")} - {"replica"}
OTHERWISE = {
    "aclose": "there is no pool to leave open",
    "from_url": "takes settings",
    "zrange": "passes on what follows the range: tests/commands/rows/lists.py has every argument",
}
"""Why a method's parameters are others than redis-py's."""

OURS_AND_THEIRS: list[tuple[type, type]] = [
    *((ours, Redis) for ours in (RedisClient, View, Scope, PinnedClient)),
    (Pipeline, RedisPipeline),
]


def parameters(owner: type, name: str) -> list[tuple[str, Any, Any]]:
    """
    Names, kinds and defaults. What takes all others may have any name.
    """
    every = inspect.signature(getattr(owner, name)).parameters.values()
    rest = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    return [("" if each.kind in rest else each.name, each.kind, each.default) for each in every]


def shared(ours: type, theirs: type) -> set[str]:
    """
    The public methods that both have.
    """
    names = {name for name in dir(ours) if not name.startswith("_") and hasattr(theirs, name)}
    return {name for name in names if inspect.isroutine(getattr(theirs, name))}


@pytest.mark.parametrize(("ours", "theirs"), OURS_AND_THEIRS)
def test_every_method_takes_what_redis_pys_takes(ours: type, theirs: type) -> None:
    names = shared(ours, theirs)
    assert len(names) > 300
    added = ("use_slave", Parameter.KEYWORD_ONLY, False)
    for name in names - OTHERWISE.keys():
        expected = parameters(theirs, name)
        more = name in WITH_USE_SLAVE and issubclass(ours, ReplicaReads)
        more = more or (name == "pipeline" and issubclass(ours, View))
        assert parameters(ours, name) == [*expected, *([added] if more else [])], name


def test_what_takes_something_else_does_so() -> None:
    for name in OTHERWISE:
        assert parameters(RedisClient, name) != parameters(Redis, name), name


def test_whoever_reads_may_read_from_a_replica_by_keyword_only() -> None:
    assert {"get", "mget", "exists", "hget", "hgetall", "zrange"} <= WITH_USE_SLAVE
    for name in WITH_USE_SLAVE:
        use_slave = inspect.signature(getattr(RedisClient, name)).parameters["use_slave"]
        assert (use_slave.kind, use_slave.default) == (Parameter.KEYWORD_ONLY, False)
