"""
Which commands a row's call would send.
"""

from __future__ import annotations

import warnings
from typing import Any

from redis._parsers.encoders import Encoder
from redis.commands import AsyncCoreCommands

from sahool_cache.commands import lookup
from tests.commands.pair import called, outcome
from tests.commands.rows.row import Row

__all__ = ["sent_by"]


class _Sent(Exception):  # no error
    pass


class _Recorder(AsyncCoreCommands):
    """
    redis-py's methods over nobody: the first command of each call ends it.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()

    def execute_command(self, *args: Any, **_: Any) -> Any:
        self.names.add(lookup(args)[0].name)
        raise _Sent

    def get_encoder(self) -> Encoder:
        return Encoder("utf-8", "strict", decode_responses=False)

    def get_connection_kwargs(self) -> dict[str, Any]:
        return {}


async def sent_by(row: Row) -> set[str]:
    """
    The names of what reaches `execute_command`: at most one; none where the call raises before.
    """
    recorder = _Recorder()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        await outcome(called, recorder, row)
    return recorder.names
