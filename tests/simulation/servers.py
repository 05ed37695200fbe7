"""
A model of a Redis server: commands, asynchronous replication, roles, and what a crash does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import hiredis

from sahool_cache.address import Address
from tests.simulation.dataset import WRITES, Dataset, Write
from tests.simulation.network import End, Network
from tests.simulation.resp import Failure, Simple, encode, read_commands

__all__ = ["Executed", "Server"]

WHILE_LOADING = frozenset({b"HELLO", b"INFO", b"ROLE"})
CRON = 0.1

_LOADING = Failure("LOADING Redis is loading the dataset in memory")
_READONLY = Failure("READONLY You can't write against a read only replica.")


@dataclass(slots=True)
class Session:
    """
    What a server knows of one client.
    """

    number: int
    reader: hiredis.Reader = field(default_factory=hiredis.Reader)
    queued: list[list[bytes]] | None = None
    aborted: bool = False


Executed = Callable[["Server", Write], None]
"""Told of every write that a server executes for a client."""


class Server:
    """
    One server. `master` is whom it follows, None for a master.
    """

    def __init__(
        self,
        address: Address,
        network: Network,
        random: Random,
        *,
        lag: float,
        executed: Executed,
        tell: Callable[[str, str], None],
    ) -> None:
        self.address = address
        self.network = network
        self.lag = lag
        self.running = True
        self.loading_until = 0.0
        self.master: Server | None = None
        self.linked = False
        self.heard_master_at = 0.0
        self.data = Dataset()
        self.followers: list[Server] = []
        self._random = random
        self._executed = executed
        self._tell = tell
        self._sessions: dict[End, Session] = {}
        self._clients = 0
        self._pumping = False
        self._now = network.loop.time
        network.listeners[address] = self._accept

    def __str__(self) -> str:
        return str(self.address)

    @property
    def history(self) -> list[Write]:
        """
        Every write its data consists of, in order: its own and those that came by replication.
        """
        return self.data.history

    @property
    def role(self) -> str:
        """
        As HELLO states it.
        """
        return "master" if self.master is None else "replica"

    @property
    def answers(self) -> bool:
        """
        Whether it would answer a PING that reached it.
        """
        host = self.address.host
        return self.running and host not in self.network.hung and host not in self.network.vanished

    @property
    def loading(self) -> bool:
        """
        Whether it refuses most commands because its data is not there yet.
        """
        return self._now() < self.loading_until

    def _accept(self, end: End) -> None:
        self._clients += 1
        self._sessions[end] = Session(self._clients)
        end.received = lambda data: self._received(end, data)
        end.lost = lambda _error: self._lost(end)

    def _lost(self, end: End) -> None:
        self._sessions.pop(end, None)

    def _received(self, end: End, data: bytes) -> None:
        session = self._sessions[end]
        replies = [self._reply(session, each) for each in read_commands(session.reader, data)]
        if replies:
            end.send(b"".join(map(encode, replies)))

    def _reply(self, session: Session, command: list[bytes]) -> Any:
        name = command[0].upper()
        if name == b"HELLO":
            return self._hello(session)
        if session.queued is not None and name != b"EXEC":
            refusal = self._refusal(name)
            if refusal is not None:
                session.aborted = True
                return refusal
            session.queued.append(command)
            return Simple("QUEUED")
        if name == b"MULTI":
            session.queued, session.aborted = [], False
            return Simple("OK")
        if name == b"EXEC":
            return self._exec(session)
        return self._refusal(name) or self._run(command)

    def _refusal(self, name: bytes) -> Failure | None:
        if self.loading and name not in WHILE_LOADING:
            return _LOADING
        if self.master is not None and name in WRITES:
            return _READONLY
        return None

    def _exec(self, session: Session) -> Any:
        commands, session.queued = session.queued or [], None
        if session.aborted:
            return Failure("EXECABORT Transaction discarded because of previous errors.")
        for command in commands:
            refusal = self._refusal(command[0].upper())
            if refusal is not None:
                return Failure(f"EXECABORT Transaction discarded because of: {refusal}")
        return [self._run(command) for command in commands]

    def _run(self, command: list[bytes]) -> Any:
        name, *args = command
        name = name.upper()
        if name in WRITES:
            write = (name, *args)
            self._executed(self, write)
            reply = self.data.apply(write)
            self._replicate()
            return reply
        match name, args:
            case b"GET", [key]:
                return self.data.values.get(key)
            case b"PING", _:
                return Simple("PONG")
            case b"INFO", _:
                return self._info()
            case b"ROLE", _:
                return self._role()
        return Failure(f"ERR unknown command '{name.decode()}'")

    def _hello(self, session: Session) -> dict[str, Any]:
        return {"server": "redis", "proto": 3, "id": session.number, "role": self.role}

    def _role(self) -> list[Any]:
        if self.master is None:
            linked = [each for each in self.followers if each.linked]
            rows = [[each.address.host, str(each.address.port), "0"] for each in linked]
            return ["master", len(self.history), rows]
        state = "connected" if self.linked else "connect"
        place = self.master.address
        return ["slave", place.host, place.port, state, len(self.history)]

    def _info(self) -> str:
        lines = [f"role:{'master' if self.master is None else 'slave'}"]
        for number, each in enumerate(each for each in self.followers if each.linked):
            lag = int(self._now() - each.heard_master_at)
            place = f"ip={each.address.host},port={each.address.port}"
            lines.append(f"slave{number}:{place},state=online,offset=0,lag={lag}")
        return "\r\n".join(lines) + "\r\n"

    def _replicate(self) -> None:
        if self.followers and not self._pumping:
            self._pumping = True
            delay = self.lag * self._random.uniform(0.5, 1.5)
            self.network.loop.call_later(delay, self._pump)

    def _pump(self) -> None:
        self._pumping = False
        for follower in self.followers:
            follower.catch_up()

    def _hears_master(self) -> bool:
        master = self.master
        return (
            master is not None
            and self.answers
            and master.answers
            and self.network.reachable(self.address.host, master.address.host)
        )

    def catch_up(self) -> None:
        """
        Takes over what the master wrote since, where the link stands.
        """
        master = self.master
        if master is not None and self.linked and self._hears_master():
            self.heard_master_at = self._now()
            for write in master.history[len(self.history) :]:
                self.data.apply(write)

    def cron(self) -> None:
        """
        Connects to the master, or notices that it has gone; called every 0.1 s.
        """
        master = self.master
        if master is None or not self.answers:
            return
        if not master.running:
            self.linked = False
        elif self.linked:
            self.catch_up()
        elif self._hears_master() and not master.loading and master.master is None:
            self._synchronise(master)

    def _synchronise(self, master: Server) -> None:
        if master.history[: len(self.history)] != self.history:  # another past: a full copy
            self.data = Dataset(master.history)
            self.loading_until = self._now() + self._random.uniform(0.02, 0.3)
            self._tell(str(self), f"full copy of {master}")
        self.linked = True
        self.heard_master_at = self._now()

    def promote(self) -> None:
        """
        SLAVEOF NO ONE, as a sentinel sends it: with the end of every client's connection.
        """
        self._follow(None)
        self._tell(str(self), "is a master now")

    def follow(self, master: Server) -> None:
        """
        SLAVEOF another server, as a sentinel sends it.
        """
        self._follow(master)
        self._tell(str(self), f"is a replica of {master} now")

    def _follow(self, master: Server | None) -> None:
        if self.master is not None and self in self.master.followers:
            self.master.followers.remove(self)
        self.master, self.linked = master, False
        if master is not None:
            master.followers.append(self)
        self._end_sessions()

    def _end_sessions(self) -> None:
        for end in list(self._sessions):
            end.close()
        self._sessions.clear()

    def kill(self) -> None:
        """
        Ends the process; what it had handed to the kernel still reaches its replicas.
        """
        for follower in self.followers:
            follower.catch_up()
            follower.linked = False
        self.running = False
        self.linked = False
        del self.network.listeners[self.address]
        self._end_sessions()

    def vanish(self) -> None:
        """
        Ends the host: nobody is told.
        """
        self.network.vanished.add(self.address.host)
        self.running = False
        self.linked = False
        del self.network.listeners[self.address]

    def start(self, loading: float) -> None:
        """
        Starts the process anew with all its data, which takes some seconds to load.
        """
        self.running = True
        self.loading_until = self._now() + loading
        self.network.listeners[self.address] = self._accept
        if self.address.host in self.network.vanished:
            self.network.vanished.discard(self.address.host)
            for end in list(self._sessions):  # its old connections meet a host that knows nothing
                end.vanish()
                end.peer.reset()
            self._sessions.clear()
        self.network.changed()
