"""
A sentinel's conversation with its clients: replies, and events that may be lost or repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import hiredis

from tests.simulation.network import End, Network
from tests.simulation.resp import encode, push, read_commands

__all__ = ["Publisher"]


@dataclass(slots=True)
class Listener:
    """
    One client of a sentinel.
    """

    reader: hiredis.Reader = field(default_factory=hiredis.Reader)
    subscribed: bool = False


class Publisher:
    """
    Answers with `answer(command)` and publishes events. `lost` and `repeated` are the chances
    that an event does not reach a client, or reaches it again later.
    """

    def __init__(
        self,
        name: str,
        network: Network,
        random: Random,
        *,
        lost: float,
        repeated: float,
        tell: Callable[[str, str], None],
    ) -> None:
        self.answer: Callable[[list[bytes]], Any]
        self._name = name
        self._network = network
        self._random = random
        self._lost = lost
        self._repeated = repeated
        self._tell = tell
        self._listeners: dict[End, Listener] = {}

    def accept(self, end: End) -> None:
        """
        A client has connected.
        """
        self._listeners[end] = Listener()
        end.received = lambda data: self._received(end, data)
        end.lost = lambda _error: self._forget(end)

    def _forget(self, end: End) -> None:
        self._listeners.pop(end, None)

    def _received(self, end: End, data: bytes) -> None:
        listener = self._listeners[end]
        replies = []
        for command in read_commands(listener.reader, data):
            if command[0].upper() == b"PSUBSCRIBE":
                listener.subscribed = True
                replies.append(push(["psubscribe", command[1], 1]))
            else:
                replies.append(encode(self.answer(command)))
        if replies:
            end.send(b"".join(replies))

    def publish(self, event: str, text: str) -> None:
        """
        Sends an event to every client that has subscribed.
        """
        self._tell(self._name, f"{event} {text}")
        message = push(["pmessage", "*", event, text])
        for end, listener in list(self._listeners.items()):
            if listener.subscribed and self._random.random() >= self._lost:
                end.send(message)
                if self._random.random() < self._repeated:
                    delay = self._random.uniform(0.1, 3.0)
                    self._network.loop.call_later(delay, end.send, message)

    def end(self) -> None:
        """
        Closes every connection.
        """
        for end in list(self._listeners):
            end.close()
        self._listeners.clear()
