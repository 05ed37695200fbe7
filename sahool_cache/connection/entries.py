"""
What waits in a lane's queue: a plain future for one reply, or one of these.
"""

from __future__ import annotations

import asyncio
from typing import Any

from redis._parsers.base import BaseParser
from redis.exceptions import ResponseError

__all__ = ["Flipped", "Group", "NoSweep", "Subscribed", "Timed", "read_error"]


class Timed(asyncio.Future[Any]):
    """
    Waits for one reply; the caller keeps the time, not the lane.
    """


class Flipped(Timed):
    """
    Waits for one reply, decoded the other way than the lane's default.
    """


class Subscribed(Timed):
    """
    Waits for the confirmation of a subscription, which RESP3 sends as a push.
    """


class Group:
    """
    Waits for the replies of several commands written together; errors are among the replies.
    """

    __slots__ = ("flips", "future", "need", "replies")

    def __init__(self, future: asyncio.Future[list[Any]], need: int, flips: frozenset[int]) -> None:
        self.future = future
        self.need = need
        self.flips = flips
        self.replies: list[Any] = []

    def done(self) -> bool:
        """
        Whether nobody waits any more.
        """
        return self.future.done()

    def set_exception(self, error: BaseException) -> None:
        """
        Ends the wait.
        """
        self.future.set_exception(error)


class NoSweep:
    """
    Stands for the sweep of a lane that has none.
    """

    def cancel(self) -> None:
        """
        Nothing to cancel.
        """


def read_error(text: str) -> Exception:
    """
    An error reply as redis-py's own exception.
    """
    try:
        error: Exception = BaseParser.parse_error(text)
    except (ValueError, IndexError):  # a script may reply with any text after "-MOVED"
        return ResponseError(text)
    return error
