"""
Asks every sentinel and every server once, all at the same time, and within a bound.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, NamedTuple

from redis import exceptions as redis_errors

from sahool_cache.address import Address
from sahool_cache.cli.doctor.facts import Clock, Member, Role
from sahool_cache.cli.doctor.questions import QUESTIONS, Question
from sahool_cache.cli.servers import Servers, Unanswered, read_info, reason
from sahool_cache.connection.faults import DialFailed, without_arguments
from sahool_cache.rights import RIGHTS, right_to
from sahool_cache.settings import RedisSettings

__all__ = ["Asker", "Place"]

_NOT_KNOWN = "unknown command", "unknown subcommand"


class Place(NamedTuple):
    """
    Where somebody is announced, and where to dial.
    """

    address: Address
    dialled: Address
    role: Role


class Asker:
    """
    Asks members of a group; `now` is this host's clock, in seconds.
    """

    def __init__(
        self, servers: Servers, settings: RedisSettings, now: Callable[[], float] = time.time
    ) -> None:
        self._servers = servers
        self._name = settings.master_name
        self._now = now

    async def look(self, places: Iterable[Place], seconds: float) -> list[Member]:
        """
        Who is there, each asked everything; also those that do not answer.
        """
        return list(await asyncio.gather(*(self._look(place, seconds) for place in places)))

    async def _look(self, place: Place, seconds: float) -> Member:
        member = Member(address=place.address, dialled=place.dialled, role=place.role)
        try:
            async with asyncio.timeout(seconds * 0.8):
                return await self._asked(member)
        except Unanswered as error:
            return replace(
                member,
                silent=reason(error) or f"no answer within {seconds * 0.8:.3g} s",
                login_refused=isinstance(error, DialFailed) and error.login,
                reached=await _takes_connections(place.dialled, seconds * 0.2),
            )

    async def _asked(self, member: Member) -> Member:
        kind = "sentinel" if member.role == "sentinel" else "data"
        questions = [each for each in QUESTIONS if each.on == kind]
        replies = await self._ask(member, *(each.command for each in questions))
        told, refused = {}, {}
        for question, reply in zip(questions, replies, strict=True):
            news = question.bad_news is not None and str(reply).startswith(question.bad_news)
            if isinstance(reply, Exception) and not news:
                refused[question.asked] = _why_refused(reply, question)
                continue
            try:
                told[question.asked] = question.read(reply)
            except (AttributeError, LookupError, TypeError, ValueError):
                refused[question.asked] = f"{question.asked} is answered with something else"
        return replace(
            member,
            told=told,
            refused=refused,
            clock=await self._clock(member),  # the connection is made: this is one round trip
            missing=await self._missing(member, kind),
        )

    async def _clock(self, member: Member) -> Clock | None:
        sentinel = member.role == "sentinel"  # which has no TIME
        began = self._now()
        (reply,) = await self._ask(member, ("INFO", "server") if sentinel else ("TIME",))
        ended = self._now()
        match reply:
            case [str() as seconds, str() as rest] if (seconds + rest).isdecimal():
                told = int(seconds) + int(rest) / 1e6
            case str() if (told_usec := read_info(reply).get("server_time_usec", "")).isdecimal():
                told = int(told_usec) / 1e6
            case _:
                return None
        return Clock(ahead=told - (began + ended) / 2, within=abs(ended - began) / 2)

    async def _missing(self, member: Member, kind: str) -> dict[str, str]:
        # The client's own commands, tried: harmless ones, on a connection that nobody else uses.
        rights = [each for each in RIGHTS if each.on == kind and each.command != "PSUBSCRIBE"]
        replies: list[Any] = await self._ask(member, *(each.sent for each in rights))
        missing = {
            right.name: _why_missing(reply)
            for right, reply in zip(rights, replies, strict=True)
            if isinstance(reply, redis_errors.NoPermissionError) or _is_unknown(reply)
        }
        if kind == "sentinel":
            missing |= await self._subscription(member)
        return missing

    async def _subscription(self, member: Member) -> dict[str, str]:
        right = right_to("PSUBSCRIBE on a sentinel")
        try:
            await self._servers.listen(member.dialled, lambda *_: None)
        except redis_errors.ResponseError as error:
            return {right.name: _why_missing(error)}
        return {}

    async def _ask(self, member: Member, *commands: tuple[str, ...]) -> list[Any]:
        named = [
            tuple(self._name if word == "mymaster" else word for word in command)
            for command in commands
        ]
        if member.role == "sentinel":
            return await self._servers.ask_sentinel(member.dialled, *named)
        return await self._servers.ask(member.dialled, *named)


async def _takes_connections(address: Address, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(*address)
    except OSError:  # TimeoutError is one
        return False
    writer.transport.abort()
    return True


def _why_refused(error: Exception, question: Question) -> str:
    if isinstance(error, redis_errors.NoPermissionError):
        return f"{question.asked} is refused by an ACL; it needs {question.right}"
    if _is_unknown(error):
        return f"{question.asked} is not known there: an old version, or rename-command"
    return f"{question.asked} is answered with: {without_arguments(error)}"


def _why_missing(error: Exception) -> str:
    return "is not known there" if _is_unknown(error) else "is refused by an ACL"


def _is_unknown(reply: object) -> bool:
    return isinstance(reply, redis_errors.ResponseError) and str(reply).startswith(_NOT_KNOWN)
