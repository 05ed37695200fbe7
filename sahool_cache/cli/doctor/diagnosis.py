"""
What a check is, and what all of them find.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from sahool_cache.cli.doctor.facts import Facts, Member, listed
from sahool_cache.cli.doctor.questions import Question
from sahool_cache.cli.exit_status import ExitStatus

__all__ = ["SEVERITIES", "Check", "Diagnosis", "Finding", "Severity", "Skipped", "diagnose"]

Severity = Literal["error", "warning", "hint"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "hint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    What was found at a server (None: the group, or this client), why it matters, how to mend it.

    An error does harm now or is sure to in a failover; a warning is a risk; a hint is worth a
    thought and leaves the exit status alone.
    """

    severity: Severity
    server: str | None = None
    found: str
    why: str
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """
    One check: its name in docs/operations/doctor.md, and the answers that it cannot do without.

    A check for which another reason speaks may yield a `Skipped` itself.
    """

    name: str
    find: Callable[[Facts], Iterator[Finding | Skipped]]
    needs: tuple[Question, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """
    What could not be checked, and why not; ``*`` stands for every check of that server.
    """

    check: str = ""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """
    All that was found, the worst first; a check is `checked` if nothing of it was `skipped`.
    """

    findings: tuple[tuple[str, Finding], ...]
    checked: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    usable: bool

    @property
    def status(self) -> ExitStatus:
        """
        Down without a usable master, degraded with an error or a warning.
        """
        if not self.usable:
            return ExitStatus.DOWN
        grave = any(finding.severity != "hint" for _, finding in self.findings)
        return ExitStatus.DEGRADED if grave else ExitStatus.OK


def diagnose(facts: Facts, checks: Iterable[Check]) -> Diagnosis:
    """
    Runs every check for which there are answers.
    """
    findings: list[tuple[str, Finding]] = []
    checked: list[str] = []
    skipped = [
        Skipped(check="*", why=f"{each} gave no answer: {each.silent}")
        for each in facts.members
        if each.silent is not None
    ]
    for check in checks:
        possible, gaps = _answered(facts, check)
        if possible:
            for result in check.find(facts):
                if isinstance(result, Skipped):
                    gaps.append(result.why)
                else:
                    findings.append((check.name, result))
        if not gaps:
            checked.append(check.name)
        skipped += [Skipped(check=check.name, why=why) for why in gaps]
    findings.sort(key=lambda each: SEVERITIES.index(each[1].severity))
    return Diagnosis(
        findings=tuple(findings),
        checked=tuple(checked),
        skipped=tuple(skipped),
        usable=facts.usable,
    )


def _answered(facts: Facts, check: Check) -> tuple[bool, list[str]]:
    # Whether every question of the check was answered by somebody, and who refused which.
    possible, gaps = True, []
    for question in check.needs:
        asked = _asked(facts, question)
        if not asked:
            gaps.append(f"no {'server' if question.on == 'data' else 'sentinel'} answers")
        refusals: dict[str, list[Member]] = defaultdict(list)
        for each in asked:
            if question.asked in each.refused:
                refusals[each.refused[question.asked]].append(each)
        gaps += [f"{why} (at {listed(who)})" for why, who in refusals.items()]
        possible = possible and any(question.asked in each.told for each in asked)
    return possible, list(dict.fromkeys(gaps))


def _asked(facts: Facts, question: Question) -> tuple[Member, ...]:
    members = facts.servers if question.on == "data" else facts.sentinels
    return tuple(each for each in members if each.silent is None)
