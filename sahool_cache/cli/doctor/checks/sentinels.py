"""
Checks of the sentinels one by one: how many there are, who answers, who can decide.
"""

from __future__ import annotations

from collections.abc import Iterator

from sahool_cache.cli.doctor.diagnosis import Check, Finding, Skipped
from sahool_cache.cli.doctor.facts import Facts, is_loopback, listed, majority
from sahool_cache.cli.doctor.questions import (
    CKQUORUM,
    KNOWN_SENTINELS,
    MASTER,
    SENTINEL_CONFIG,
    SENTINEL_INFO,
)

__all__ = ["CHECKS"]


def _down(facts: Facts) -> Iterator[Finding]:
    for each in facts.sentinels:
        if each.silent is None or each.out_of_reach:
            continue
        mend = "Start it; if it has gone for good, `SENTINEL RESET` with the group's name makes the"
        mend += " others forget it: on one after another, 30 s apart."
        if each.reached:
            mend = (
                "See what holds it up (its CPU and log), and restart it; check REDIS_SENTINEL_TLS."
            )
        if each.login_refused:
            mend = "Set REDIS_SENTINEL_PASSWORD (and REDIS_SENTINEL_USERNAME, if it has ACL users)."
        yield Finding(
            severity="warning" if facts.voices else "error",
            server=str(each),
            found=f"this sentinel cannot be asked: {each.silent}",
            why="It still counts for the majority, and the client cannot hear of failovers from it",
            mend=mend,
        )


def _ignorant(facts: Facts) -> Iterator[Finding]:
    name = facts.settings.master_name
    for each in facts.sentinels:
        if each.silent is not None or each.view:
            continue
        refused = each.refused.get(MASTER.asked, "")
        if "No such master" not in refused and MASTER.right not in refused:
            yield Finding(
                severity="error",
                server=str(each),
                found="something answers there that is no sentinel",
                why="It knows no master",
                mend="Give the sentinels' port, mostly 26379, in REDIS_SENTINEL_HOST_1 (or "
                "REDIS_SENTINELS).",
            )
        elif MASTER.right not in refused:
            yield Finding(
                severity="error",
                server=str(each),
                found=f"this sentinel does not know a group of the name {name!r}",
                why="It names no master, and has no vote in a failover",
                mend="Correct REDIS_MASTER_NAME; or let it watch the group: "
                f"`SENTINEL MONITOR {name} <master's address> <port> <quorum>`.",
            )


def _count(facts: Facts) -> Iterator[Finding]:
    count = facts.sentinel_count
    if count < 3:
        yield Finding(
            severity="warning",
            found=f"there {'is 1 sentinel' if count == 1 else f'are {count} sentinels'}",
            why="With fewer than three, the loss of one leaves nobody who may start a failover",
            mend="Run three sentinels, on three hosts.",
        )
    elif count % 2 == 0:
        yield Finding(
            severity="warning",
            found=f"there are {count} sentinels, an even number",
            why=f"A majority is {majority(count)}: one more may be lost with {count - 1} as well, "
            "and a partition can leave neither half with a majority",
            mend=f"Run {count + 1} of them, or {count - 1}.",
        )


def _quorum(facts: Facts) -> Iterator[Finding]:
    count, least = facts.sentinel_count, majority(facts.sentinel_count)
    name = facts.settings.master_name
    for each in facts.voices:
        quorum = int(each.view.get("quorum", 0))
        if quorum == least:
            continue
        low = quorum < least
        yield Finding(
            severity="warning",
            server=str(each),
            found=f"its quorum is {quorum}, a majority of {count} is {least}",
            why="So few may declare a healthy master down that they alone cannot reach"
            if low
            else "More sentinels must be alive for a failover than a majority of them",
            mend=f"`SENTINEL SET {name} quorum {least}` on every sentinel.",
        )


def _ckquorum(facts: Facts) -> Iterator[Finding]:
    count, name = facts.sentinel_count, facts.settings.master_name
    for each in facts.voices:
        said = each.said(CKQUORUM, "")
        if said and not said.startswith("OK"):
            too_high = int(each.view["quorum"]) > count
            yield Finding(
                severity="error",
                server=str(each),
                found=f"it could not start a failover now: {said}",
                why="If the master were lost at this moment, nobody would replace it",
                mend=f"`SENTINEL SET {name} quorum {majority(count)}` on every sentinel."
                if too_high
                else "Start the sentinels that are down, and let them reach one another; "
                f"then `SENTINEL CKQUORUM {name}`.",
            )


def _tilt(facts: Facts) -> Iterator[Finding]:
    for each in facts.voices:
        if each.said(SENTINEL_INFO, {}).get("sentinel_tilt", "0") != "0":
            yield Finding(
                severity="error",
                server=str(each),
                found="this sentinel is in TILT mode",
                why="Its clock jumped or its process was held up: it takes no part in failovers",
                mend="Give its host enough CPU and a steady clock (NTP that slews); it leaves the "
                "mode after 30 s without a jump.",
            )


def _hosts(facts: Facts) -> Iterator[Finding | Skipped]:
    hosts = {each.address.host for each in facts.sentinels}
    if len(facts.sentinels) < 2 or len(hosts) > 1:
        return
    if is_loopback(*hosts):
        yield Skipped(why="everything is on loopback: one host, for development")
        return
    yield Finding(
        severity="hint",
        found=f"all sentinels are on the host {listed(hosts)}",
        why="If it is lost, nobody is left to start a failover",
        mend="Spread them over hosts that do not fail together.",
    )


def _password(facts: Facts) -> Iterator[Finding]:
    open_ones = [each for each in facts.sentinels if each.silent is None]
    if facts.settings.sentinel_password is None and open_ones:
        yield Finding(
            severity="hint",
            server=listed(open_ones),
            found="the sentinels answer without a password",
            why="Whoever reaches one may send it SENTINEL FAILOVER, RESET or SET",
            mend="On each: `requirepass` and, the same, `sentinel sentinel-pass`; then "
            "REDIS_SENTINEL_PASSWORD here. Or let no others reach their ports.",
        )


def _names(facts: Facts) -> Iterator[Finding]:
    for each in facts.voices:
        config = each.said(SENTINEL_CONFIG, {})
        if config.get("announce-hostnames") == "yes" and config.get("resolve-hostnames") == "no":
            yield Finding(
                severity="warning",
                server=str(each),
                found="it announces host names and does not resolve them",
                why="It refuses a name in `sentinel monitor` and in what the others announce",
                mend="`SENTINEL CONFIG SET resolve-hostnames yes` on every sentinel.",
            )


CHECKS = (
    Check(name="sentinel-down", find=_down),
    Check(name="sentinel-group", find=_ignorant),
    Check(name="sentinel-count", find=_count, needs=(MASTER,)),
    Check(name="sentinel-quorum", find=_quorum, needs=(MASTER,)),
    Check(name="failover-possible", find=_ckquorum, needs=(CKQUORUM,)),
    Check(name="sentinel-tilt", find=_tilt, needs=(SENTINEL_INFO,)),
    Check(name="sentinel-hosts", find=_hosts, needs=(KNOWN_SENTINELS,)),
    Check(name="sentinel-password", find=_password),
    Check(name="sentinel-names", find=_names, needs=(SENTINEL_CONFIG,)),
)
