"""
What the sentinels say, and whether all members of a group see the same group.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from redis.exceptions import ResponseError

from sahool_cache.address import Address
from sahool_cache.embedded.node import Node
from sahool_cache.embedded.wire import Command, Reply, pairs

__all__ = ["View", "disagreement", "no_master", "out_of_sync", "until", "views", "views_now"]

_INTERVAL = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """
    The master that one sentinel names, and the epoch in which it became master.
    """

    sentinel: Node
    epoch: int
    master: Address


async def until(
    reason: Callable[[], Awaitable[str | None]], timeout: float, interval: float = _INTERVAL
) -> None:
    """
    Returns once `reason` has none left; raises `TimeoutError` with the last one.
    """
    deadline = time.monotonic() + timeout
    while (last := await reason()) is not None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{last} (waited {timeout:g} s)")
        await asyncio.sleep(interval)


async def views(sentinels: Iterable[Node], master_name: str) -> list[View]:
    """
    The views of all sentinels that answer, the newest epoch first.
    """
    asked = [sentinel for sentinel in sentinels if sentinel.awake]
    answers = await asyncio.gather(*(_answers(each, *_questions(master_name)) for each in asked))
    found = (_view(each, replies) for each, replies in zip(asked, answers, strict=True))
    return _newest_first(found)


def views_now(sentinels: Iterable[Node], master_name: str) -> list[View]:
    """
    The same without awaiting.
    """
    found = []
    for sentinel in sentinels:
        if sentinel.awake:
            try:
                found.append(_view(sentinel, sentinel.ask_now(*_questions(master_name))))
            except (OSError, ResponseError):
                continue
    return _newest_first(found)


async def no_master(node: Node) -> str | None:
    """
    What the node is if it is no master, or None if it serves as one.
    """
    reply = _first(await _answers(node, ("ROLE",)))
    if isinstance(reply, list):
        return None if reply[0] == "master" else f"{node!r} says that it is a {reply[0]}"
    return f"{node!r} does not tell its role: {reply}"


async def out_of_sync(master: Node, replicas: Sequence[Node]) -> str | None:
    """
    Why a replica does not hold all that the master held when asked, or None if each does.
    """
    state = pairs(_first(await _answers(master, ("INFO", "replication"))))
    if state.get("role") != "master":
        return f"{master!r} does not answer as a master"
    offset = int(state["master_repl_offset"])
    online = [line for name, line in state.items() if name[5:].isdecimal()]
    answers = await asyncio.gather(*(_answers(each, ("INFO", "replication")) for each in replicas))
    for replica, replies in zip(replicas, answers, strict=True):
        link = pairs(_first(replies))
        follows = (link.get("master_host"), link.get("master_port"))
        if follows != (master.host, str(master.port)):
            return f"{replica!r} does not follow {master.address}"
        if link["master_link_status"] != "up" or link["master_sync_in_progress"] != "0":
            return f"{replica!r} is not linked to {master.address}"
        if not any(f"port={replica.port},state=online" in line for line in online):
            return f"{master!r} does not list {replica!r} as online"
        if int(link["slave_repl_offset"]) < offset:
            return f"{replica!r} is behind {master!r}"
    return None


async def disagreement(
    sentinels: Sequence[Node],
    master_name: str,
    master: Node,
    replicas: Sequence[Node],
    *,
    links: bool,
) -> str | None:
    """
    What a sentinel does not see of the group, or None if each sees all of it.

    With `links`, each replica's link to the master too, which they look at every 10 s.
    """
    commands: tuple[Command, ...] = (
        *_questions(master_name),
        ("SENTINEL", "REPLICAS", master_name),
        ("SENTINEL", "SENTINELS", master_name),
    )
    answers = await asyncio.gather(*(_answers(each, *commands) for each in sentinels))
    for sentinel, replies in zip(sentinels, answers, strict=True):
        view = _view(sentinel, replies)
        if view is None or view.master != master.address:
            return f"{sentinel!r} does not name {master.address} as the master"
        if (flags := pairs(replies[1]).get("flags")) != "master":
            return f"{sentinel!r} sees the master as {flags}"
        others = [each for each in sentinels if each is not sentinel]
        missing = _unseen(replicas, replies[2], links=links) or _unseen(others, replies[3])
        if missing is not None:
            return f"{sentinel!r} does not see {missing!r} as it is"
    return None


def _unseen(nodes: Sequence[Node], listed: Reply, *, links: bool = False) -> Node | None:
    entries = [pairs(entry) for entry in listed] if isinstance(listed, list) else []
    seen = {(e["ip"], e["port"]) for e in entries if _is_up(e) and (not links or _is_linked(e))}
    return next((node for node in nodes if (node.host, str(node.port)) not in seen), None)


def _is_up(entry: Mapping[str, str]) -> bool:
    # Other flags may stay after a failover and mean nothing any more, `master_down` for one.
    return set(entry["flags"].split(",")).isdisjoint(("s_down", "o_down", "disconnected"))


def _is_linked(entry: Mapping[str, str]) -> bool:
    return (entry["role-reported"], entry["master-link-status"]) == ("slave", "ok")


def _questions(master_name: str) -> tuple[Command, ...]:
    # During a failover only the first of the two names the promoted replica on the leader.
    return (
        ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", master_name),
        ("SENTINEL", "MASTER", master_name),
    )


def _view(sentinel: Node, replies: Sequence[Reply]) -> View | None:
    match replies:
        case [[str(host), str(port)], list(state), *_]:
            epoch = int(pairs(state)["config-epoch"])
            return View(sentinel=sentinel, epoch=epoch, master=Address(host, int(port)))
    return None


def _newest_first(found: Iterable[View | None]) -> list[View]:
    return sorted((view for view in found if view), key=lambda view: view.epoch, reverse=True)


async def _answers(node: Node, *commands: Command) -> list[Reply]:
    try:
        return await node.ask(*commands)
    except (OSError, ResponseError):
        return []


def _first(replies: Sequence[Reply]) -> Reply:
    return replies[0] if replies else None
