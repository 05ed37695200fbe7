"""
Callers of the client: what they ask for, and what became of each call.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from sahool_cache import RedisClient
from sahool_cache.errors import UsageError
from sahool_cache.view import View

__all__ = ["Call", "Callers", "Kind"]

Kind = Literal["get", "set", "incrby", "sadd", "del", "transaction", "batch"]

KINDS: tuple[Kind, ...] = (
    *("get", "get", "get", "set", "set", "incrby", "incrby", "incrby"),
    *("sadd", "del", "transaction", "batch"),
)
ONCE = frozenset({"incrby", "transaction"})
"""Kinds that must not run twice."""

OWN_KEY = ONCE | {"batch"}

CANCELLED, BURST = 0.06, 0.08
BUSY, IDLE = 0.04, 0.5
"""Mean seconds between two calls of one caller, near a fault and otherwise."""


@dataclass(slots=True, kw_only=True)
class Call:
    """
    One call, from its start to its end; exactly one of `reply` and `error` tells how it ended.
    """

    number: int
    kind: Kind
    key: str
    budget: float
    started: float
    always: bool = False
    ended: float | None = None
    reply: Any = None
    error: BaseException | None = None
    written: bool = False

    @property
    def once(self) -> bool:
        """
        Whether it must not run twice.
        """
        return self.kind in ONCE and not self.always

    @property
    def writes(self) -> bool:
        """
        Whether it changes data.
        """
        return self.kind != "get"

    def __str__(self) -> str:
        took = "" if self.ended is None else f" after {self.ended - self.started:.3f} s"
        how = f"{type(self.error).__name__}: {self.error}" if self.error else repr(self.reply)
        return f"call {self.number} ({self.kind} {self.key}, budget {self.budget:g} s){took}: {how}"


class Callers:
    """
    Several tasks that call until told to stop. `calls` is everything that they asked for.
    """

    def __init__(
        self, client: RedisClient, random: Random, busy: list[tuple[float, float]]
    ) -> None:
        self.calls: list[Call] = []
        self.stopping = False
        self._client = client
        self._random = random
        self._busy = busy
        self._loop = asyncio.get_running_loop()
        self._start = self._loop.time()
        self._views: dict[tuple[str, float], View] = {}

    async def run(self) -> None:
        """
        One caller.
        """
        random = self._random
        while not self.stopping:
            if random.random() < BURST:
                burst = [self._start_call() for _ in range(random.randint(2, 8))]
                await asyncio.gather(*burst, return_exceptions=True)
            elif random.random() < CANCELLED:
                task = self._start_call()
                self._loop.call_later(random.choice((0, 0.002, 0.3)) * random.random(), task.cancel)
                await asyncio.wait({task})
            else:
                await self.call(random.choice(KINDS))
            await asyncio.sleep(random.expovariate(1 / self._mean()))

    def _mean(self) -> float:
        now = self._loop.time() - self._start
        return BUSY if any(first <= now <= last for first, last in self._busy) else IDLE

    def _start_call(self) -> asyncio.Task[Call]:
        return asyncio.create_task(self.call(self._random.choice(KINDS)), name="caller's call")

    async def call(self, kind: Kind, view: View | None = None) -> Call:
        """
        Makes one call and keeps what became of it.
        """
        random = self._random
        number = len(self.calls) + 1
        redis, budget, always = (
            self._view() if view is None else (view, view.options.timeout, False)
        )
        key = f"{kind}:{number}" if kind in OWN_KEY else f"{random.choice('abc')}:{kind}"
        if kind in ("get", "del"):
            key = f"{random.choice('abc')}:set"
        call = Call(
            number=number,
            kind=kind,
            key=key,
            budget=budget,
            started=self._loop.time(),
            always=always,
        )
        self.calls.append(call)
        try:
            call.reply = await _send(redis, call)
        except asyncio.CancelledError as error:
            call.error = error
            raise
        except UsageError:
            raise
        except Exception as error:  # noqa: BLE001  # every failure is judged later
            call.error = error
        finally:
            call.ended = self._loop.time()
        return call

    def _view(self) -> tuple[View, float, bool]:
        random = self._random
        if random.random() < 0.6:
            return self._client, self._client.settings.command_timeout, False
        options: dict[str, Any] = {}
        if random.random() < 0.7:
            options["timeout"] = random.choice((0.02, 0.1, 0.5, 2.0, 6.0))
        if random.random() < 0.2:
            options["retry"] = random.choice(("never", "always"))
        if random.random() < 0.3:
            options["read_from"] = random.choice(
                ("master", "replica", "replica_preferred", "nearest")
            )
        view = self._client.with_options(**options)
        return view, view.options.timeout, view.options.retry == "always"


async def _send(redis: View, call: Call) -> Any:
    token = f"<{call.number}>"
    match call.kind:
        case "get":
            return await redis.get(call.key)
        case "set":
            return await redis.set(call.key, f"{call.key}={token}")
        case "incrby":
            # The key is this call's own, so the reply tells both whose it is and how often it ran.
            return await redis.execute_command("INCRBY", f"{call.key}{token}", call.number)
        case "sadd":
            return await redis.sadd(call.key, token)
        case "del":
            return await redis.execute_command("DEL", f"{call.key}{token}")
        case "transaction" | "batch":
            pipe = redis.pipeline(transaction=call.kind == "transaction")
            pipe.set(f"{call.key}:x", f"{call.key}:x={token}")
            if call.kind == "transaction":
                pipe.incrby(f"{call.key}{token}", call.number)
            else:
                pipe.sadd(f"{call.key}:y", token)
            pipe.get(f"{call.key}:x")
            return await pipe.execute()
