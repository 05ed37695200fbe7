"""
The rights that a client needs of its own, beside those to the commands that its callers send.

HELLO and AUTH are not here, since no ACL forbids them, nor PING: a refusal is an answer, too.
docs/rights.md has the ACL line of each role.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["RIGHTS", "Right", "right_to"]

Where = Literal["data", "sentinel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """
    One command that the client sends of itself, to the data servers or to the sentinels.

    `sent` is the command as it is sent, fit for ``ACL DRYRUN``; ``mymaster`` stands for the name of
    the group. Without a `required` right nothing works `when` it is needed; any other one costs
    what `costs` says, and one `RightMissing`.
    """

    command: str
    sent: tuple[str, ...]
    on: Where
    costs: str
    required: bool = False
    when: str = "always"

    @property
    def name(self) -> str:
        """
        The command, and where it is sent if that is to a sentinel.
        """
        return f"{self.command} on a sentinel" if self.on == "sentinel" else self.command

    @property
    def rule(self) -> str:
        """
        The word of an ACL that grants it, with a plus; with a minus it takes it away.
        """
        return "+" + self.command.lower().replace(" ", "|")


RIGHTS = (
    Right(
        command="SELECT",
        sent=("SELECT", "1"),
        on="data",
        costs="no connection can be made",
        required=True,
        when="db is not 0",
    ),
    Right(
        command="INFO",
        sent=("INFO", "replication"),
        on="data",
        costs="replicas are read without knowing their lag",
    ),
    Right(
        command="ROLE",
        sent=("ROLE",),
        on="data",
        costs="replicas are read without their own word on the replication link, those of a scope "
        'not at all after a write, and durability="all" raises NotDurableError',
    ),
    Right(
        command="CLIENT SETINFO",
        sent=("CLIENT", "SETINFO", "LIB-NAME", "x"),
        on="data",
        costs="CLIENT LIST does not show the library",
    ),
    Right(
        command="CLIENT SETNAME",
        sent=("CLIENT", "SETNAME", "x"),
        on="data",
        costs="CLIENT LIST does not show the client's name",
        when="client_name",
    ),
    Right(
        command="CLIENT UNBLOCK",
        sent=("CLIENT", "UNBLOCK", "0", "ERROR"),
        on="data",
        costs="blocking calls may end in doubt in a planned failover, and a cancelled one may "
        "still take an element",
        when="blocking commands",
    ),
    Right(
        command="WAIT",
        sent=("WAIT", "1", "1"),
        on="data",
        costs="no write is known to be durable: each that should be raises NotDurableError, and "
        "wait() NoPermissionError",
        when="durability, wait()",
    ),
    Right(
        command="SPUBLISH",
        sent=("SPUBLISH", "sahool_cache:wait", ""),
        on="data",
        costs="wait() raises NoPermissionError",
        when="wait(), waitaof()",
    ),
    Right(
        command="CLIENT TRACKING",
        sent=("CLIENT", "TRACKING", "ON"),
        on="data",
        costs="the near cache keeps nothing",
        when="near_cache",
    ),
    Right(
        command="PTTL",
        sent=("PTTL", "x"),
        on="data",
        costs="the near cache keeps nothing, not knowing for how long, and recipes are refused",
        when="near_cache, recipes",
    ),
    Right(
        command="SENTINEL GET-MASTER-ADDR-BY-NAME",
        sent=("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"),
        on="sentinel",
        costs="the master is not known",
        required=True,
    ),
    Right(
        command="SENTINEL MASTER",
        sent=("SENTINEL", "MASTER", "mymaster"),
        on="sentinel",
        costs="the master's epoch and state are not known",
        required=True,
    ),
    Right(
        command="SENTINEL REPLICAS",
        sent=("SENTINEL", "REPLICAS", "mymaster"),
        on="sentinel",
        costs="no replica is known: none is read, and a promotion is followed when it is announced",
    ),
    Right(
        command="SENTINEL SENTINELS",
        sent=("SENTINEL", "SENTINELS", "mymaster"),
        on="sentinel",
        costs="sentinels that are not in the settings are not learned",
    ),
    Right(
        command="SENTINEL MYID",
        sent=("SENTINEL", "MYID"),
        on="sentinel",
        costs="a sentinel with two addresses is taken for two",
    ),
    Right(
        command="PSUBSCRIBE",
        sent=("PSUBSCRIBE", "*"),
        on="sentinel",
        costs="failovers are noticed by polling only",
    ),
    Right(
        command="CLIENT SETINFO",
        sent=("CLIENT", "SETINFO", "LIB-NAME", "x"),
        on="sentinel",
        costs="CLIENT LIST does not show the library",
    ),
    Right(
        command="CLIENT SETNAME",
        sent=("CLIENT", "SETNAME", "x"),
        on="sentinel",
        costs="CLIENT LIST does not show the client's name",
        when="client_name",
    ),
)

_BY_NAME = {right.name: right for right in RIGHTS}


def right_to(name: str) -> Right:
    """
    The right of that `name`; raises `KeyError` where there is none.
    """
    return _BY_NAME[name]
