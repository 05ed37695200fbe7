"""
The queue of what is due on a lane, and who gets which reply.
"""

from __future__ import annotations

from asyncio import InvalidStateError
from collections import deque
from collections.abc import Callable
from typing import Any

from hiredis import PushNotification, Reader

from sahool_cache.connection.entries import Flipped, Group, Subscribed, read_error

__all__ = ["Replies"]

_NOT_YET = object()


class Replies:
    """
    Replies go to the queue's head, one each, in order; `on_push(message)` gets what nobody
    asked for. `answered` counts the entries that had theirs.

    Plain futures and what is `expect`ed stand in the same `queue`. Whoever appends to it
    directly, to save a call, appends plain futures.
    """

    __slots__ = (
        "_as_asked",
        "_encodings",
        "_feed",
        "_reader",
        "_special",
        "answered",
        "on_push",
        "queue",
    )

    def __init__(self, *, decode: bool, on_push: Callable[[list[Any]], None] | None) -> None:
        if on_push is not None and decode:
            # hiredis does not say whether it was a push or a reply that it could not decode.
            raise ValueError("a lane that listens takes bytes")
        encoding = "utf-8" if decode else None
        self._reader = reader = Reader(
            encoding=encoding,  # None is quicker than telling each time not to decode
            notEnoughData=_NOT_YET,
            protocolError=ConnectionError,
            replyError=read_error,
        )
        self._encodings = encoding, None if decode else "utf-8"
        self._feed = reader.feed
        self._as_asked = reader.gets
        self._special = 0
        self.queue: deque[Any] = deque()
        self.on_push = on_push
        self.answered = 0

    def expect(self, entry: Any) -> None:
        """
        Appends an entry that is read in a way of its own.
        """
        kind = entry.__class__
        if self.on_push is not None and (kind is Flipped or (kind is Group and entry.flips)):
            raise ValueError("a lane that listens takes bytes")
        if kind in _SPECIAL:
            self._special += 1
        self.queue.append(entry)

    def clear(self) -> list[Any]:
        """
        Takes every entry out; what is read later is nobody's.
        """
        entries = list(self.queue)
        self.queue.clear()
        self._special = 0
        return entries

    def take(self, data: bytes) -> int:
        """
        Hands out every reply that is complete by now; the number of them.

        Raises whatever shows that the bytes make no sense: then nobody may read on.
        """
        before = self.answered
        self._feed(data)
        while not (self._take_special() if self._special else self._take_plain()):
            pass
        return self.answered - before

    def _take_plain(self) -> bool:
        """
        Reads on until there is no more, or a special entry has come; whether there is no more.
        """
        queue, gets = self.queue, self._as_asked
        head, due = queue.popleft, len(queue)
        try:
            while True:
                try:
                    reply: Any = gets()
                except UnicodeDecodeError as error:  # that reply's own trouble, not the reader's
                    reply = error
                kind = reply.__class__
                try:
                    if kind is bytes or kind is str:
                        head().set_result(reply)
                    elif reply is _NOT_YET:
                        return True
                    elif kind is PushNotification:
                        before = len(queue)
                        self._push(reply)
                        due += len(queue) - before
                        if self._special:
                            return False
                    elif isinstance(reply, Exception):
                        head().set_exception(reply)
                    else:
                        head().set_result(reply)
                except InvalidStateError:  # its caller has gone
                    pass
                except IndexError:
                    raise ConnectionError("a reply that nobody asked for") from None
        finally:
            self.answered += due - len(queue)

    def _take_special(self) -> bool:
        queue = self.queue
        while self._special:
            head: Any = queue[0]
            kind = head.__class__
            if kind is Group:
                if not self._take_group(head):
                    return True
                continue
            try:
                reply: Any = self._flipped() if kind is Flipped else self._as_asked()
            except UnicodeDecodeError as error:
                reply = error
            if reply is _NOT_YET:
                return True
            if reply.__class__ is PushNotification:
                if kind is not Subscribed or not _text(reply[0]).endswith("subscribe"):
                    self._push(reply)
                    continue
                reply = None
            queue.popleft()
            self.answered += 1
            if kind in _SPECIAL:
                self._special -= 1
            if not head.done():
                if isinstance(reply, Exception):
                    head.set_exception(reply)
                else:
                    head.set_result(reply)
        return False

    def _take_group(self, group: Group) -> bool:
        """
        Reads on within a group; whether it is complete, and gone.
        """
        replies, flips, as_asked = group.replies, group.flips, self._as_asked
        while len(replies) < group.need:
            gets = self._flipped if flips and len(replies) in flips else as_asked
            try:
                reply: Any = gets()
            except UnicodeDecodeError as error:
                reply = error
            if reply is _NOT_YET:
                return False
            if reply.__class__ is PushNotification:
                self._push(reply)
                if not self.queue:  # the listener has ended the lane
                    return True
            else:
                replies.append(reply)
        self.queue.popleft()
        self.answered += 1
        self._special -= 1
        if not group.done():
            group.future.set_result(replies)
        return True

    def _flipped(self) -> Any:
        usual, flipped = self._encodings
        self._reader.set_encoding(flipped)
        try:
            return self._reader.gets()
        finally:
            self._reader.set_encoding(usual)

    def _push(self, message: list[Any]) -> None:
        if self.on_push is not None:
            self.on_push(message)


_SPECIAL = frozenset({Flipped, Group, Subscribed})
"""Entries that take more than the next reply, decoded as all are."""


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
