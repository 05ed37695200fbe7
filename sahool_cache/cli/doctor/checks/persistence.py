"""
Checks of what is on disk.
"""

from __future__ import annotations

from collections.abc import Iterator

from sahool_cache.cli.doctor.diagnosis import Check, Finding
from sahool_cache.cli.doctor.facts import Facts
from sahool_cache.cli.doctor.questions import CONFIG, INFO, MASTER

__all__ = ["CHECKS"]

_JOBS = {
    "rdb_last_bgsave_status": ("the last BGSAVE", "BGSAVE"),
    "aof_last_write_status": (
        "the last write to the append-only file",
        "BGREWRITEAOF",
    ),
    "aof_last_bgrewrite_status": ("the last rewrite of the append-only file", "BGREWRITEAOF"),
}


def _nothing(facts: Facts) -> Iterator[Finding]:
    for each in facts.configured():
        if each.config.get("appendonly") == "no" and not each.config.get("save", "").strip('" '):
            yield Finding(
                severity="warning",
                server=str(each),
                found="it keeps nothing on disk",
                why="A master that is started again before the sentinels have replaced it comes "
                "back empty, and its replicas copy that",
                mend="`CONFIG SET appendonly yes`, then `CONFIG REWRITE`; or see that nothing "
                "starts a lost master by itself.",
            )


def _failed(facts: Facts) -> Iterator[Finding]:
    for each in facts.answering:
        for name, (job, again) in _JOBS.items():
            if each.info.get(name, "ok") != "ok":
                yield Finding(
                    severity="error",
                    server=str(each),
                    found=f"{job} failed",
                    why="What was written since is on no disk; with stop-writes-on-bgsave-error a "
                    "master refuses writes (MISCONF)",
                    mend=f"Its log says why: mostly a full disk, no right to write in `dir`, or no "
                    f"memory to fork (vm.overcommit_memory=1). Then `{again}`.",
                )


def _fork(facts: Facts) -> Iterator[Finding]:
    down_after = facts.down_after
    for each in facts.answering:
        seconds = each.number("latest_fork_usec") / 1e6
        if down_after is not None and seconds > down_after / 2:
            yield Finding(
                severity="warning",
                server=str(each),
                found=f"the last fork (BGSAVE, rewrite) held it up for {seconds:.2f} s",
                why=f"The sentinels give it up after {down_after:g} s of silence",
                mend="Turn transparent huge pages off on its host (`echo never > "
                "/sys/kernel/mm/transparent_hugepage/enabled`); save on a replica instead.",
            )


CHECKS = (
    Check(name="persistence", find=_nothing, needs=(CONFIG,)),
    Check(name="persistence-failed", find=_failed, needs=(INFO,)),
    Check(name="slow-fork", find=_fork, needs=(INFO, MASTER)),
)
