"""
What each client's errors say about the call that failed.
"""

from __future__ import annotations

import pytest
from coredis.exceptions import ConnectionError as CoredisConnectionError
from coredis.exceptions import PrimaryNotFoundError
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError

from sahool_cache import OutcomeUnknownError, RedisSettings, UnavailableError
from tests.chaos.clients import CLIENTS, NotBuiltError
from tests.chaos.history import Outcome

SETTINGS = RedisSettings.isolated(sentinels=["127.0.0.1:1"], master_name="m")


@pytest.mark.parametrize(
    ("client", "error", "outcome"),
    [
        ("ours", OutcomeUnknownError("sent"), "unknown"),
        ("ours", UnavailableError("no master"), "failed"),
        ("ours", ReadOnlyError("a replica"), "failed"),
        ("ours", RuntimeError("a bug"), "unknown"),
        ("redis-py", MasterNotFoundError("none"), "failed"),
        ("redis-py", RedisConnectionError("reset"), "unknown"),
        # An attempt before the last one may have run.
        ("redis-py-tuned", MasterNotFoundError("none"), "unknown"),
        ("coredis", PrimaryNotFoundError("none"), "failed"),
        ("coredis", CoredisConnectionError("reset"), "unknown"),
    ],
)
@pytest.mark.asyncio
async def test_only_what_certainly_did_not_run_has_failed(
    client: str, error: Exception, outcome: Outcome
) -> None:
    assert CLIENTS[client](SETTINGS, {}).outcome(error) == outcome


@pytest.mark.parametrize("options", [{"no_such_option": 1}, {"command_timeout": "never"}])
@pytest.mark.asyncio
async def test_an_option_that_our_client_does_not_have_is_told(options: dict[str, object]) -> None:
    with pytest.raises(NotBuiltError):
        CLIENTS["ours"](SETTINGS, options)


@pytest.mark.asyncio
async def test_our_client_promises_a_deadline_for_each_call() -> None:
    assert CLIENTS["ours"](SETTINGS, {"command_timeout": 0.5}).deadline == 0.5
    assert CLIENTS["redis-py"](SETTINGS, {}).deadline is None
