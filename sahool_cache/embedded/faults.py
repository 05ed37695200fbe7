"""
What happens to one process, or to the group, when a fault is asked for.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence

from redis.exceptions import ResponseError

from sahool_cache.address import Address
from sahool_cache.embedded.agreement import until, views
from sahool_cache.embedded.errors import EmbeddedError
from sahool_cache.embedded.node import Node

__all__ = ["kill", "pause", "request_failover", "restart", "resume"]

_GRACE = 2.0
_REFUSED_FOR_NOW = ("INPROG", "NOGOODSLAVE", "NOGOODREPLICA")


async def kill(node: Node) -> None:
    """
    Ends its process at once, as a crash would; returns when it is gone.
    """
    _require_alive(node)
    node.send_signal(signal.SIGKILL)
    await node.ended()


def pause(node: Node) -> None:
    """
    Stops its process where it is, sockets open: a hang.
    """
    _require_alive(node)
    if node.paused:
        raise EmbeddedError(f"{node!r} is paused already")
    node.send_signal(signal.SIGSTOP)


def resume(node: Node) -> None:
    """
    Lets a paused process go on; does nothing to a running one.
    """
    _require_alive(node)
    node.send_signal(signal.SIGCONT)


async def restart(node: Node, timeout: float) -> None:
    """
    Starts it again at the same place; returns when it serves.
    """
    if node.awake:
        # As a service manager does it. A master waits for slow replicas then: not for ever here.
        node.send_signal(signal.SIGTERM)
        await node.ended(_GRACE)
    if node.alive:
        node.send_signal(signal.SIGKILL)
        await node.ended()
    node.start()
    try:
        await until(node.unready, timeout)
    except TimeoutError as error:
        raise TimeoutError(f"{error}; it wrote last:\n{node.tail()}") from error


async def request_failover(sentinels: Sequence[Node], master_name: str, timeout: float) -> Address:
    """
    The master that a sentinel has agreed to replace.

    Asks the sentinel with the newest epoch, again while it answers that it cannot do it yet.
    """
    accepted: list[Address] = []

    async def refusal() -> str | None:
        known = await views(sentinels, master_name)
        if not known:
            return "no sentinel answers"
        try:
            (reply,) = await known[0].sentinel.ask(("SENTINEL", "FAILOVER", master_name))
        except OSError as error:
            return f"{known[0].sentinel!r} does not answer: {error!r}"
        if not isinstance(reply, ResponseError):
            accepted.append(known[0].master)
            return None
        said = f"{known[0].sentinel!r} refuses the failover: {reply}"
        if not str(reply).startswith(_REFUSED_FOR_NOW):
            raise EmbeddedError(said)
        return said

    try:
        await until(refusal, timeout, interval=0.05)
    except TimeoutError as error:
        raise EmbeddedError(f"no failover: {error}") from error
    return accepted[0]


def _require_alive(node: Node) -> None:
    if not node.alive:
        raise EmbeddedError(f"{node!r} is not running; restart it first")
