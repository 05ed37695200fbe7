"""
A group of one sentinel, one master and one replica in this process, which answer rightly but for
the mischief that a test has planned.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import hiredis

from sahool_cache.address import Address
from tests.simulation.resp import Failure, Simple, encode, push, read_commands

__all__ = ["Group", "Mischief", "gathered"]

Role = Literal["sentinel", "master", "replica"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mischief:
    """
    What a server does in place of answering rightly, the first time that it is asked for `name`.

    ``instead``, ``before`` and ``after`` say where `data` goes, ``cut`` sends the first
    `place` bytes of the answer and hangs up, ``silence`` never answers.
    """

    role: Role
    name: str
    how: Literal["instead", "before", "after", "cut", "silence"]
    data: bytes = b""
    place: int = 0


class Group:
    """
    Three servers, what they hold, and what they are still going to do wrong.
    """

    def __init__(self) -> None:
        self.at: dict[Role, Address] = {}
        self.data: dict[bytes, bytes] = {}
        self.planned: list[Mischief] = []
        self.done: list[Mischief] = []
        self._ids = 0
        self._serving: set[asyncio.Task[None]] = set()

    def take(self, role: Role, name: str) -> Mischief | None:
        for mischief in self.planned:
            if (mischief.role, mischief.name) == (role, name):
                self.planned.remove(mischief)
                self.done.append(mischief)
                return mischief
        return None

    async def serve(
        self, role: Role, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        parser = hiredis.Reader()
        silent = False
        try:
            while data := await reader.read(1 << 16):
                for command in read_commands(parser, data):
                    name, answer = self.answer(role, command)
                    mischief = self.take(role, name)
                    silent = silent or (mischief is not None and mischief.how == "silence")
                    if not silent:
                        writer.write(spoilt(answer, mischief))
                    if mischief is not None and mischief.how == "cut":
                        return
        except (ConnectionError, hiredis.ProtocolError):
            pass
        finally:
            writer.transport.abort()

    async def aclose(self) -> None:
        """
        Ends every connection.
        """
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def answer(self, role: Role, command: list[bytes]) -> tuple[str, bytes]:
        """
        What the command is called in a plan, and the right answer to it.
        """
        name, *args = (word.upper() if place < 2 else word for place, word in enumerate(command))
        match name, *args:
            case b"SENTINEL", topic, *_:
                return f"SENTINEL {topic.decode()}", encode(self.told(topic))
            case b"PSUBSCRIBE" | b"SUBSCRIBE", *_:
                channel = command[1]
                said = push([command[0].lower(), channel, 1])
                if role != "sentinel":
                    said += push([b"message", channel, b"right message"])
                return "SUBSCRIBE", said
            case b"CLIENT", *_:
                return "CLIENT", encode(Simple("OK"))
            case b"HELLO", *_:
                return "HELLO", encode(self.greeting(role))
        return name.decode(), encode(self.of_data(role, name, command[1:]))

    def greeting(self, role: Role) -> dict[str, Any]:
        self._ids += 1
        mode = "sentinel" if role == "sentinel" else "standalone"
        facts = {"server": "redis", "version": "7.4.0", "proto": 3, "id": self._ids}
        return facts | {"mode": mode, "role": role, "modules": []}

    def told(self, topic: bytes) -> Any:
        master, replica = self.at["master"], self.at["replica"]
        match topic:
            case b"MYID":
                return "id"
            case b"GET-MASTER-ADDR-BY-NAME":
                return [master.host, str(master.port)]
            case b"MASTER":
                facts = {"config-epoch": "1", "quorum": "1", "down-after-milliseconds": "200"}
                return row(master, "master") | facts
            case b"REPLICAS":
                return [row(replica, "slave") | {"master-link-status": "ok"}]
        return []

    def of_data(self, role: Role, name: bytes, args: list[bytes]) -> Any:
        master, replica = self.at["master"], self.at["replica"]
        match name:
            case b"PING":
                return Simple("PONG")
            case b"SELECT":
                return Simple("OK")
            case b"ROLE" if role == "replica":
                return ["slave", master.host, master.port, "connected", 10]
            case b"INFO":
                listed = f"ip={replica.host},port={replica.port},state=online,offset=1,lag=0"
                return f"# Replication\r\nrole:master\r\nslave0:{listed}\r\n"
            case b"SET":
                self.data[args[0]] = args[1]
                return Simple("OK")
            case b"GET":
                return self.data.get(args[0], b"right " + args[0])
            case b"BLPOP":
                return [args[0], b"right element"]
        return Failure(f"ERR unknown command {name!r}")


def row(address: Address, flags: str) -> dict[str, str]:
    return {"ip": address.host, "port": str(address.port), "flags": flags}


def spoilt(answer: bytes, mischief: Mischief | None) -> bytes:
    match mischief:
        case Mischief(how="instead"):
            return mischief.data
        case Mischief(how="before"):
            return mischief.data + answer
        case Mischief(how="after"):
            return answer + mischief.data
        case Mischief(how="cut"):
            return answer[: mischief.place]
    return answer


@asynccontextmanager
async def gathered() -> AsyncIterator[Group]:
    """
    The group, listening on free ports of loopback.
    """
    group = Group()
    servers = []

    def serving(role: Role) -> Callable[..., Any]:
        return lambda reader, writer: group.serve(role, reader, writer)

    roles: tuple[Role, ...] = ("sentinel", "master", "replica")
    for role in roles:
        server = await asyncio.start_server(serving(role), "127.0.0.1", 0)
        servers.append(server)
        group.at[role] = Address("127.0.0.1", server.sockets[0].getsockname()[1])
    try:
        yield group
    finally:
        for server in servers:
            server.close()
        await group.aclose()
        await asyncio.sleep(0.01)  # the transports say goodbye to the loop
