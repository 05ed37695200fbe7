"""
Checks of passwords and rights: the client's, and the servers' among themselves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from sahool_cache.cli.doctor.diagnosis import Check, Finding, Severity, Skipped
from sahool_cache.cli.doctor.facts import Facts, Member, listed
from sahool_cache.cli.doctor.questions import CONFIG, DEFAULT_USER
from sahool_cache.rights import RIGHTS, Right

__all__ = ["CHECKS"]


def _login(facts: Facts) -> Iterator[Finding]:
    for each in facts.servers:
        if each.login_refused:
            yield Finding(
                severity="error",
                server=str(each),
                found=f"{each.silent}",
                why="The client can use no server that refuses its login; after a failover this "
                "may be the master",
                mend="Set REDIS_PASSWORD (and REDIS_USERNAME) to what it wants; or give it the "
                "same `requirepass` or ACL users as the others.",
            )


def _open(facts: Facts) -> Iterator[Finding | Skipped]:
    for each in facts.answering:
        flags = each.said(DEFAULT_USER, [])
        if not flags and facts.settings.password is not None:
            if not each.config.get("requirepass"):
                yield Skipped(
                    why=f"whether {each} can be used without a password is not told; it needs "
                    f"{DEFAULT_USER.right}"
                )
            continue
        if flags and not {"nopass", "on"} <= set(flags):
            continue
        unprotected = each.config.get("protected-mode") == "no"
        yield Finding(
            severity="warning",
            server=str(each),
            found="it can be used without a password"
            + (", and protected-mode is off" if unprotected else ""),
            why="Whoever reaches its port may read, change and delete everything",
            # The same password as before would change nothing.
            mend="`ACL SETUSER default resetpass ><password>`, then `ACL SAVE` or `CONFIG REWRITE`."
            if each.config.get("requirepass")
            else "On every server: `CONFIG SET masterauth <password>` first, then `CONFIG SET "
            "requirepass <password>`, `CONFIG REWRITE`; on every sentinel `SENTINEL SET "
            f"{facts.settings.master_name} auth-pass <password>`; REDIS_PASSWORD here.",
        )


def _masterauth(facts: Facts) -> Iterator[Finding | Skipped]:
    """
    Whether each server could log in at each other one, once that is the master.
    """
    servers = list(facts.configured())
    for each in servers:
        user, mine = _login_of(each)
        others = [other for other in servers if other is not each and _wants_password(other)]
        if not mine:
            what = "masterauth is not set"
        elif user:
            # Another one that is logged in with the same proves it; its own link may be older.
            if not any(_login_of(other) == (user, mine) and _is_linked(other) for other in others):
                yield Skipped(why=f"whether {each} logs in elsewhere as {user!r} cannot be seen")
            continue
        else:
            what = "masterauth is another password"
            others = [each for each in others if each.config.get("requirepass") not in {mine, ""}]
        if others:
            is_master = each.role == "master"
            yield Finding(
                severity="error",
                server=str(each),
                found=f"{what}, and {listed(others)} want one",
                why="After a failover it cannot come back as a replica"
                if is_master
                else "It cannot replicate from such a master",
                mend="`CONFIG SET masterauth <password of the servers>` (and `masteruser`), then "
                "`CONFIG REWRITE`.",
            )


def _is_linked(server: Member) -> bool:
    return server.info.get("master_link_status") == "up"


def _login_of(server: Member) -> tuple[str, str]:
    return server.config.get("masteruser", ""), server.config.get("masterauth", "")


def _wants_password(server: Member) -> bool:
    flags = server.said(DEFAULT_USER, [])
    if flags:
        return "nopass" not in flags
    return bool(server.config.get("requirepass"))


def _rights(facts: Facts) -> Iterator[Finding]:
    without: dict[tuple[str, str], list[Member]] = defaultdict(list)
    for each in facts.members:
        for name, how in each.missing.items():
            without[name, how].append(each)
    for (name, how), members in without.items():
        right = next(each for each in RIGHTS if each.name == name)
        severity, refused = _weight(right, facts), "ACL" in how
        if not refused and right.command == "CLIENT SETINFO":  # new in 7.2, nothing depends on it
            continue
        if severity is not None:
            user = "REDIS_SENTINEL_USERNAME" if right.on == "sentinel" else "REDIS_USERNAME"
            yield Finding(
                severity=severity,
                server=listed(members),
                found=f"{right.command} {how}",
                why=f"Without it {right.costs} (needed: {right.when})",
                mend=f"`ACL SETUSER <the user of {user}> {right.rule}`, then `ACL SAVE` or "
                "`CONFIG REWRITE`."
                if refused
                else f"Take `rename-command {right.command.split()[0]}` out of its configuration, "
                "or upgrade a server that is too old to have it.",
            )


def _weight(right: Right, facts: Facts) -> Severity | None:
    settings = facts.settings
    used = {
        "always": True,
        "client_name": settings.client_name is not None,
        "db is not 0": settings.db != 0,
        "durability": bool(settings.durability),
        "near_cache": bool(settings.near_cache),
    }
    features = right.when.split(", ")
    if any(used.get(feature) for feature in features):
        if right.required:
            return "error"
        return "hint" if right.command.startswith("CLIENT SET") else "warning"
    # Of the others, nobody but the callers know whether they are used.
    return None if all(feature in used for feature in features) else "hint"


CHECKS = (
    Check(name="login", find=_login),
    Check(name="no-password", find=_open),
    Check(name="masterauth", find=_masterauth, needs=(CONFIG,)),
    Check(name="rights", find=_rights),
)
