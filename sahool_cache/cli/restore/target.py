"""
The group that a backup is restored into.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from redis.exceptions import ResponseError

from sahool_cache.cli.restore.scratch import Loaded, Scratch
from sahool_cache.client import RedisClient
from sahool_cache.settings import RedisSettings

__all__ = ["Found", "Targets", "look", "open_targets", "patient", "refusal"]

Targets = Mapping[int, RedisClient]
"""One client to each database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """
    What is in the group now: keys by database, and libraries of functions; ``redis`` or ``valkey``.
    """

    master: str
    kind: str
    databases: dict[int, int]
    functions: int

    def __str__(self) -> str:
        keys = ", ".join(f"{count:,} in database {n}" for n, count in self.databases.items())
        return f"{self.master} holds {keys or 'no keys'}" + (
            f", libraries of functions: {self.functions}" if self.functions else ""
        )

    @property
    def empty(self) -> bool:
        """
        Whether there is nothing that could be lost.
        """
        return not self.databases and not self.functions


def patient(settings: RedisSettings, within: float, *, confirm: bool = False) -> RedisSettings:
    """
    Settings for long work: replies are bytes, and each call outlasts an outage of `within`. To
    `confirm` means that a write counts once a replica has it.
    """
    return settings.model_copy(
        update={
            "decode_responses": False,
            "read_from": "master",
            "near_cache": False,
            "command_timeout": within,
            "socket_timeout": within,  # a large value is a while without a byte
            "durability": settings.durability or int(confirm),
            "durability_timeout": within,
        }
    )


@asynccontextmanager
async def open_targets(settings: RedisSettings, databases: Iterable[int]) -> AsyncIterator[Targets]:
    """
    Open clients; raises `UnavailableError` where a database is not to be had.
    """
    async with AsyncExitStack() as stack:
        targets = {}
        for number in databases:
            client = RedisClient(settings.model_copy(update={"db": number}))
            targets[number] = await stack.enter_async_context(client)
            await client.ping()
        yield targets


async def look(target: RedisClient) -> Found:
    """
    What is in the group, in all of its databases.
    """
    server = await target.info("server")
    keyspace = await target.info("keyspace")
    functions = await target.execute_command("FUNCTION", "LIST")
    return Found(
        master=str(target.topology.master),
        kind="valkey" if "valkey_version" in server else "redis",
        databases={int(name[2:]): counts["keys"] for name, counts in keyspace.items()},
        functions=len(functions),
    )


async def refusal(scratch: Scratch, loaded: Loaded, targets: Targets) -> str | None:
    """
    Why the group does not take what that server would send it; None if it does.

    Sends a value that expired in 1970: it is read, judged by its version, and never stored.
    """
    for number in loaded.databases:
        async with scratch.connect(number) as source:
            key = await source.execute_command("RANDOMKEY")
            payload = await source.dump(key) if key is not None else None
        if payload is None:
            continue
        probe = f"sahool-cache:probe:{secrets.token_hex(16)}"
        try:
            await targets[number].execute_command("RESTORE", probe, 1, payload, "ABSTTL")
            await targets[number].execute_command("PEXPIRETIME", probe)
        except ResponseError as error:
            return f"the group does not take what {loaded.server} sends ({error})"
        return None
    return None
