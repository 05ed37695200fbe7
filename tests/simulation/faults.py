"""
What can happen to a group: each fault says what it does, and how it is undone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random

from tests.simulation.group import Group
from tests.simulation.network import CLIENT
from tests.simulation.sentinels import Sentinel
from tests.simulation.servers import Server
from tests.simulation.watched import MASTER_NAME

__all__ = ["FAULTS", "Fault"]

Undo = Callable[[], None]

SLOW_SCRIPT = 2.5


@dataclass(frozen=True, slots=True)
class Fault:
    """
    One fault of that `kind`, `at` seconds after the start, for `lasting` seconds. `choice` picks
    its victims. One that is not `undone` is left as it is at the end.
    """

    kind: str
    at: float
    lasting: float
    choice: float
    undone: bool = True

    def start(self, group: Group) -> Undo:
        """
        Makes it happen; what it returns undoes it.
        """
        group.tell("FAULT", f"{self.kind} for {self.lasting:.3f} s")
        undo = FAULTS[self.kind](group, Random(self.choice))

        def undo_and_tell() -> None:
            group.tell("FAULT", f"{self.kind} undone")
            undo()

        return undo_and_tell


def _nothing() -> None:
    """
    Undoes what was over at once.
    """


def _running(group: Group) -> list[Sentinel]:
    return [each for each in group.sentinels if each.answers]


def _replica(group: Group, random: Random) -> Server:
    master = group.master
    return random.choice([each for each in group.servers if each is not master])


def _kill_server(group: Group, server: Server, random: Random) -> Undo:
    if not server.running:
        return _nothing
    group.tell(str(server), "killed")
    server.kill()
    loading = random.choice((0.0, 0.05, 0.5, 1.5))

    def restart() -> None:
        if not server.running:
            group.tell(str(server), f"starts, loading for {loading} s")
            server.start(loading)

    return restart


def kill(group: Group, random: Random) -> Undo:
    return _kill_server(group, group.master, random)


def kill_replica(group: Group, random: Random) -> Undo:
    return _kill_server(group, _replica(group, random), random)


def _hang(group: Group, host: str) -> Undo:
    network = group.network
    network.hung.add(host)
    group.tell(host, "hangs")

    def wake() -> None:
        network.hung.discard(host)
        group.tell(host, "wakes up")
        network.changed()

    return wake


def hang(group: Group, random: Random) -> Undo:
    return _hang(group, group.master.address.host)


def hang_replica(group: Group, random: Random) -> Undo:
    return _hang(group, _replica(group, random).address.host)


def slow_script(group: Group, random: Random) -> Undo:
    group.later(SLOW_SCRIPT, _hang(group, group.master.address.host))
    return _nothing


def vanish(group: Group, random: Random) -> Undo:
    server = group.master
    if not server.running:
        return _nothing
    group.tell(str(server), "vanishes")
    server.vanish()

    def back() -> None:
        if not server.running:
            group.tell(str(server), "is back")
            server.start(0.2)

    return back


def _cut(group: Group, pairs: list[tuple[str, str]]) -> Undo:
    pairs = [pair for pair in pairs if pair not in group.network.blocked]
    for one, other in pairs:
        group.tell(one, f"is cut from {other}")
        group.network.block(one, other)

    def heal() -> None:
        for one, other in pairs:
            group.network.unblock(one, other)

    return heal


def _hosts(group: Group) -> list[str]:
    addresses = [each.address for each in group.servers] + [
        each.address for each in group.sentinels
    ]
    return [CLIENT, *(address.host for address in addresses)]


def partition(group: Group, random: Random) -> Undo:
    hosts = _hosts(group)
    away = set(random.sample(hosts, random.randint(1, len(hosts) // 2)))
    if random.random() < 0.6:
        away.add(group.master.address.host)
    return _cut(group, [(a, b) for a in hosts if a in away for b in hosts if b not in away])


def partition_master_but_client(group: Group, random: Random) -> Undo:
    master = group.master.address.host
    return _cut(group, [(master, each) for each in _hosts(group) if each not in (master, CLIENT)])


def partition_pair(group: Group, random: Random) -> Undo:
    one, other = random.sample(_hosts(group), 2)
    return _cut(group, [(one, other)])


def client_from_sentinels(group: Group, random: Random) -> Undo:
    return _cut(group, [(CLIENT, each.host) for each in group.sentinels])


def _force(group: Group, random: Random) -> Sentinel | None:
    # As an operator would: not in the middle of another failover, and not among a minority, where
    # two leaders may come to use the same epoch, which Sentinel itself cannot mend.
    able = [
        each
        for each in _running(group)
        if sum(map(each.reaches, each.peers)) * 2 >= len(each.peers)
        and each.current_epoch == max(peer.current_epoch for peer in group.sentinels)
    ]
    busy = any(each.failover.state for each in group.sentinels)
    sentinel = random.choice(able) if able and not busy else None
    if sentinel is None or not sentinel.failover.force():
        return None
    group.tell(str(sentinel), "accepts SENTINEL FAILOVER")
    return sentinel


def planned(group: Group, random: Random) -> Undo:
    _force(group, random)
    return _nothing


def aborted(group: Group, random: Random) -> Undo:
    sentinel = _force(group, random)
    if sentinel is None:
        return _nothing

    def kill_candidate() -> None:
        candidate = sentinel.failover._candidate
        if candidate is not None:
            restart = _kill_server(group, candidate.server, random)
            group.later(random.uniform(0.5, 8), restart)

    group.later(random.uniform(0.05, 0.35), kill_candidate)
    return _nothing


def _kill_sentinel(group: Group, sentinel: Sentinel) -> Undo:
    if not sentinel.running:
        return _nothing
    group.tell(str(sentinel), "killed")
    sentinel.kill()

    def restart() -> None:
        if not sentinel.running:
            group.tell(str(sentinel), "starts")
            sentinel.start()

    return restart


def kill_sentinel(group: Group, random: Random) -> Undo:
    able = _running(group)
    return _kill_sentinel(group, random.choice(able)) if able else _nothing


def hang_sentinel(group: Group, random: Random) -> Undo:
    return _hang(group, random.choice(group.sentinels).host)


def leader_dies(group: Group, random: Random) -> Undo:
    """
    Between the promotion and its announcement, after a planned failover or a crash.
    """
    if random.random() < 0.5:
        group.later(random.uniform(1, 8), _kill_server(group, group.master, random))
    else:
        _force(group, random)
    delay, gone_for = random.uniform(0.02, 1.5), random.choice((0.5, 5.0, None))

    def strike(leader: Sentinel) -> None:
        restart = _kill_sentinel(group, leader)
        if gone_for is not None:
            group.later(gone_for, restart)

    def look(until: float) -> None:
        for sentinel in group.sentinels:
            if sentinel.failover.state == "wait-promotion":
                group.later(delay, partial(strike, sentinel))
                return
        if group.loop.time() < until:
            group.later(0.02, lambda: look(until))

    look(group.loop.time() + 5)
    return _nothing


def stale_event(group: Group, random: Random) -> Undo:
    sentinel = random.choice(group.sentinels)
    old, new = random.sample(group.servers, 2)
    texts = {
        "+switch-master": f"{MASTER_NAME} {_spaced(old)} {_spaced(new)}",
        "+odown": f"master {MASTER_NAME} {_spaced(old)}",
        "+sdown": f"master {MASTER_NAME} {_spaced(group.master)}",
        "+selected-slave": (
            f"slave {new.address} {_spaced(new)} @ {MASTER_NAME} {_spaced(group.master)}"
        ),
    }
    event = random.choice(sorted(texts))
    for _ in range(random.randint(1, 3)):
        sentinel.publish(event, texts[event])
    return _nothing


def _spaced(server: Server) -> str:
    return f"{server.address.host} {server.address.port}"


def cut_connections(group: Group, random: Random) -> Undo:
    host = random.choice(_hosts(group)[1:])
    group.tell(host, f"{group.network.cut(host)} connections cut")
    return _nothing


def refuses_client(group: Group, random: Random) -> Undo:
    host = group.master.address.host
    group.network.refused.add(host)
    group.tell(host, f"refuses the client, {group.network.cut(host)} connections cut")
    return lambda: group.network.refused.discard(host)


FAULTS: dict[str, Callable[[Group, Random], Undo]] = {
    "kill": kill,
    "hang": hang,
    "vanish": vanish,
    "slow script": slow_script,
    "partition": partition,
    "partition of a pair": partition_pair,
    "master sees the client only": partition_master_but_client,
    "client sees no sentinel": client_from_sentinels,
    "master refuses the client": refuses_client,
    "planned failover": planned,
    "aborted failover": aborted,
    "leader dies": leader_dies,
    "replica killed": kill_replica,
    "replica hangs": hang_replica,
    "sentinel killed": kill_sentinel,
    "sentinel hangs": hang_sentinel,
    "stale event": stale_event,
    "connections cut": cut_connections,
}
