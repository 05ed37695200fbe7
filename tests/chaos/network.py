"""
Hosts on one router, made of network namespaces: Linux, root, iproute2 and util-linux.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from sahool_cache.embedded.guard import Guard

__all__ = ["Network", "why_no_network"]

_RANGE = "10.213"
_TOOLS = ("ip", "nsenter", "unshare", "sleep")
_RULES = 100
"""The priority of the rules that cut: before the table of routes is looked at."""

_TRIAL = """
echo 1 > /proc/sys/net/ipv4/ip_forward && ip link add one-end type veth peer name other-end &&
ip rule add priority 100 from 10.213.0.1 to 10.213.0.2 blackhole
"""


def why_no_network() -> str | None:
    """
    Why no `Network` can be made here, or None; tries its parts for some milliseconds.
    """
    if not sys.platform.startswith("linux"):
        return "network namespaces exist on Linux only"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if missing := [tool for tool in _TOOLS if shutil.which(tool) is None]:
        return f"not installed: {', '.join(missing)}"
    done = _run_now("unshare", "--net", "sh", "-c", _TRIAL)
    said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
    return f"network namespaces do not work here: {said}" if done.returncode else None


class Network:
    """
    Some hosts, one address each, which reach one another and this process over a router.

    A host is a namespace without a name, held by a process that does nothing; with the process
    it ends, also when we are killed, and its links with it.
    A cut is a pair of rules in the router that drop without an answer (`ip rule ... blackhole`).
    """

    def __init__(self, hosts: int) -> None:
        self._count = hosts
        self._guard: Guard | None = None
        self._pids: dict[str, int] = {}
        self._link = ""
        self._cuts: set[tuple[str, str]] = set()
        self.hosts: tuple[str, ...] = ()
        """Their addresses."""
        self.client = ""
        """The address by which the hosts see this process."""
        self._router = ""

    async def __aenter__(self) -> Self:
        self._guard = Guard()
        try:
            await self._build(self._guard)
        except BaseException:
            self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def prefix(self, host: str) -> tuple[str, ...]:
        """
        The words that go before a command that is to run on that host.
        """
        return ("nsenter", f"--net=/proc/{self._pids[host]}/ns/net")

    async def cut(self, pairs: Iterable[tuple[str, str]]) -> None:
        """
        Drops all that these pairs send one another from now on; returns when it is so.
        """
        new = {each for one, other in pairs for each in ((one, other), (other, one))} - self._cuts
        await self._rules("add", new)
        self._cuts |= new

    def is_cut(self, one: str, other: str) -> bool:
        """
        Whether these two are cut off from one another.
        """
        return (one, other) in self._cuts

    async def heal(self) -> None:
        """
        Takes back every cut.
        """
        await self._rules("del", self._cuts)
        self._cuts.clear()

    async def _rules(self, verb: str, cuts: Iterable[tuple[str, str]]) -> None:
        lines = [
            f"rule {verb} priority {_RULES} from {one} to {other} blackhole" for one, other in cuts
        ]
        await _ip(lines, self.prefix(self._router))

    async def _build(self, guard: Guard) -> None:
        self._link, net = await self._uplink()
        self._router, self.client = f"{net}.254", f"{net}.253"
        self.hosts = tuple(f"{net}.{number}" for number in range(1, 1 + self._count))
        for place in (self._router, *self.hosts):
            self._pids[place] = await _namespace(guard)
        await _ip(self._lines_here(net))
        await _run([*self.prefix(self._router), "sh", "-c", _FORWARD])
        await _ip(self._lines_of_router(), self.prefix(self._router))
        for host in self.hosts:
            await _ip(_lines_of_host(host, self._router), self.prefix(host))

    async def _uplink(self) -> tuple[str, str]:
        # The name of the link is the lock on its range of addresses: the kernel refuses a second.
        numbers = list(range(256))
        random.shuffle(numbers)
        for number in numbers:
            link, net = f"sahool-{number}", f"{_RANGE}.{number}"
            routes = await _run(["ip", "-4", "route", "show", "root", f"{net}.0/24"])
            if routes.strip():
                continue
            with suppress(RuntimeError):
                await _ip([f"link add {link} type veth peer name {link}r"])
                return link, net
        raise RuntimeError("no free range of addresses for the hosts")

    def _lines_here(self, net: str) -> list[str]:
        return [
            f"link set {self._link}r netns {self._pids[self._router]} name uplink",
            f"addr add {self.client}/32 dev {self._link}",
            f"link set {self._link} up",
            f"route add {self._router} dev {self._link}",
            f"route add {net}.0/24 via {self._router} dev {self._link} src {self.client}",
        ]

    def _lines_of_router(self) -> Iterator[str]:
        yield from _lines_of_port("uplink", self._router, self.client)
        for number, host in enumerate(self.hosts):
            yield f"link add host{number} type veth peer name wire netns {self._pids[host]}"
            yield from _lines_of_port(f"host{number}", self._router, host)

    def _close(self) -> None:
        guard, self._guard = self._guard, None
        if self._link:
            # The kernel takes a namespace apart in its own time; this end has to be gone now.
            _run_now("ip", "link", "del", self._link)
        self._link = ""
        self._pids.clear()
        self._cuts.clear()
        if guard is not None:
            guard.close()


_FORWARD = (
    "echo 1 > /proc/sys/net/ipv4/ip_forward;"
    " for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done"
)


def _lines_of_port(device: str, mine: str, other: str) -> Iterator[str]:
    yield f"addr add {mine}/32 dev {device}"
    yield f"link set dev {device} up"
    yield f"route add {other} dev {device}"


def _lines_of_host(host: str, router: str) -> Iterator[str]:
    yield "link set lo up"
    yield from _lines_of_port("wire", host, router)
    yield f"route add default via {router} dev wire"


async def _namespace(guard: Guard) -> int:
    """
    The process that holds a new namespace, once it does.
    """
    with (guard.directory / "hosts.log").open("ab") as log:
        holder = guard.spawn(
            ["unshare", "--net", "sleep", "infinity"], directory=guard.directory, log=log
        )
    async with asyncio.timeout(5):
        while _network_of(holder.pid) == _network_of(os.getpid()):
            await asyncio.sleep(0.001)
    return holder.pid


def _network_of(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


async def _ip(lines: Iterable[str], prefix: Sequence[str] = ()) -> None:
    text = "".join(f"{line}\n" for line in lines)
    if text:
        await _run([*prefix, "ip", "-batch", "-"], text)


def _run_now(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


async def _run(command: Sequence[str], text: str = "") -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(text.encode())
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: {err.decode().strip()}\n{text}")
    return out.decode()
