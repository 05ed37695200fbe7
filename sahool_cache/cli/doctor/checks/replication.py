"""
Checks of the replicas, and of what bounds the loss in a failover.
"""

from __future__ import annotations

from collections.abc import Iterator

from sahool_cache.cli.doctor.diagnosis import Check, Finding, Skipped
from sahool_cache.cli.doctor.facts import Facts, Member
from sahool_cache.cli.doctor.questions import CONFIG, INFO, MASTER

__all__ = ["CHECKS"]

_BACKLOG_SECONDS = 60
_BEHIND_BYTES = 64 << 20
_START_ONE = "Start a server with `replicaof <master's address> <port>` and `masterauth`."


def _none(facts: Facts) -> Iterator[Finding]:
    if facts.master is not None and not facts.replicas:
        yield Finding(
            severity="error",
            found="the master has no replica",
            why="If it is lost, nothing can take over, and what it held is gone",
            mend=_START_ONE,
        )


def _role(facts: Facts) -> Iterator[Finding]:
    for each in facts.answering:
        if each.acts_as and each.acts_as != each.role:
            yield Finding(
                severity="error",
                server=str(each),
                found=f"the sentinels name it a {each.role}, it acts as a {each.acts_as}",
                why="A failover is under way, or somebody sent it REPLICAOF",
                mend="Look again in 15 s. If it stays, `REPLICAOF <master's address> <port>` on "
                "what should be a replica, `REPLICAOF NO ONE` on the master.",
            )


def _link(facts: Facts) -> Iterator[Finding | Skipped]:
    if facts.master is not None and facts.master.silent is not None:
        yield Skipped(why="the master gives no answer, here at least")
        return
    for each in _following(facts):
        if each.info.get("master_link_status", "up") == "up":
            continue
        syncing = each.info.get("master_sync_in_progress") == "1"
        followed = f"{each.info.get('master_host')}:{each.info.get('master_port')}"
        yield Finding(
            severity="warning" if syncing else "error",
            server=str(each),
            found="it is still being synced"
            if syncing
            else f"its link to the master {followed} is down",
            why="Its data is old; it is not read from, and may not be chosen in a failover",
            mend="Wait for it."
            if syncing
            else "Set `masterauth` (and `masteruser`) to what the master wants, and see that it "
            "reaches that address; its log says which of the two it is.",
        )


def _behind(facts: Facts) -> Iterator[Finding]:
    master = facts.master
    if master is None or master.silent is not None:
        return
    written = master.number("master_repl_offset")
    for each in _following(facts):
        behind = written - each.number("master_repl_offset")
        quiet = each.number("master_last_io_seconds_ago")
        if each.info.get("master_link_status") == "up" and behind > _BEHIND_BYTES:
            yield Finding(
                severity="warning",
                server=str(each),
                found=f"it is {behind / (1 << 20):.0f} MiB behind the master",
                why="So much is lost if it is promoted now, and its reads are old",
                mend="Look at its CPU, disk and network; spread the writes.",
            )
        elif quiet > facts.settings.max_replica_lag + 10:
            yield Finding(
                severity="warning",
                server=str(each),
                found=f"it has heard nothing from the master for {quiet:.0f} s",
                why="The master sends something at least every 10 s: the network between them "
                "stands",
                mend="See that both reach one another; `CONFIG SET repl-timeout 30` finds it "
                "sooner.",
            )


def _following(facts: Facts) -> Iterator[Member]:
    return (each for each in facts.answering if each.acts_as == "replica")


def _backlog(facts: Facts) -> Iterator[Finding]:
    linked = [x for x in _following(facts) if x.info.get("master_link_status") == "up"]
    rates = [each.number("instantaneous_input_repl_kbps") for each in linked]  # or it is a sync
    rate = max(rates, default=0.0) * 1024
    for each in facts.configured():
        size = each.number("repl-backlog-size")
        if rate and size / rate < _BACKLOG_SECONDS:
            wanted = 1 << max(20, int(rate * _BACKLOG_SECONDS * 2).bit_length())
            yield Finding(
                severity="hint",  # the rate is that of one second
                server=str(each),
                found=f"its replication backlog holds {size / rate:.0f} s of the writes of now",
                why="A replica that is away for longer has to be synced from the beginning",
                mend=f"`CONFIG SET repl-backlog-size {wanted}`, then `CONFIG REWRITE`.",
            )


def _min_replicas(facts: Facts) -> Iterator[Finding]:
    count = len(facts.replicas)
    for each in facts.configured():
        wanted, lag = each.number("min-replicas-to-write"), each.number("min-replicas-max-lag")
        if (not wanted or not lag) and count:
            yield Finding(
                severity="warning",
                server=str(each),
                found="min-replicas-to-write is off",
                why="Cut off from its replicas, a master goes on accepting writes that are lost "
                "when it comes back",
                mend="`CONFIG SET min-replicas-to-write 1`, `CONFIG SET min-replicas-max-lag 10`, "
                "then `CONFIG REWRITE`; on every server, as each may become the master.",
            )
        elif wanted > count:
            yield Finding(
                severity="error",
                server=str(each),
                found=f"min-replicas-to-write is {wanted:.0f} and there are {count} replicas",
                why="As a master it refuses every write (NOREPLICAS)",
                mend="`CONFIG SET min-replicas-to-write 1`, then `CONFIG REWRITE`."
                if count
                else _START_ONE,
            )
        elif count and wanted == count:
            yield Finding(
                severity="warning" if count > 1 else "hint",
                server=str(each),
                found=f"min-replicas-to-write is {wanted:.0f}, as many as there are replicas",
                why="The loss of one server stops all writes, until it is back",
                mend=f"`CONFIG SET min-replicas-to-write {count - 1}`, then `CONFIG REWRITE`."
                if count > 1
                else "Start another replica.",
            )


def _writable(facts: Facts) -> Iterator[Finding]:
    for each in facts.configured():
        if each.config.get("replica-read-only") == "no":
            yield Finding(
                severity="warning",
                server=str(each),
                found="as a replica it accepts writes",
                why="They are in no other server, and are gone with the next sync",
                mend="`CONFIG SET replica-read-only yes`, then `CONFIG REWRITE`.",
            )


def _priority(facts: Facts) -> Iterator[Finding]:
    replicas = [each for each in facts.configured() if each.role == "replica"]
    if replicas and all(each.config.get("replica-priority") == "0" for each in replicas):
        yield Finding(
            severity="error",
            server=", ".join(map(str, replicas)),
            found="every replica has replica-priority 0",
            why="The sentinels never promote such a replica: there is no failover",
            mend="`CONFIG SET replica-priority 100`, then `CONFIG REWRITE`, on one at least.",
        )


def _stale(facts: Facts) -> Iterator[Finding]:
    for each in facts.configured():
        if each.config.get("replica-serve-stale-data") == "no":
            yield Finding(
                severity="hint",
                server=str(each),
                found="as a replica without its master it refuses all reads (MASTERDOWN)",
                why="With read_from=replica there is nothing to read from in an outage; the client "
                "leaves out replicas that are too old by itself (max_replica_lag)",
                mend="`CONFIG SET replica-serve-stale-data yes`, then `CONFIG REWRITE`.",
            )


CHECKS = (
    Check(name="replicas", find=_none, needs=(MASTER,)),
    Check(name="role", find=_role, needs=(INFO,)),
    Check(name="replica-link", find=_link, needs=(INFO,)),
    Check(name="replica-lag", find=_behind, needs=(INFO,)),
    Check(name="repl-backlog", find=_backlog, needs=(INFO, CONFIG)),
    Check(name="min-replicas", find=_min_replicas, needs=(CONFIG,)),
    Check(name="replica-read-only", find=_writable, needs=(CONFIG,)),
    Check(name="replica-priority", find=_priority, needs=(CONFIG,)),
    Check(name="replica-stale-data", find=_stale, needs=(CONFIG,)),
)
