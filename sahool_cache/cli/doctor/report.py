"""
A diagnosis, for people and for programs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.text import Text

from sahool_cache.cli.answer import mark
from sahool_cache.cli.doctor.diagnosis import SEVERITIES, Diagnosis, Finding, Skipped
from sahool_cache.cli.doctor.facts import listed
from sahool_cache.cli.exit_status import ExitStatus

__all__ = ["document", "told"]

_STATUS = {
    ExitStatus.OK: ("healthy", "nothing is wrong"),
    ExitStatus.DEGRADED: ("degraded", "the group can be used, but not all is as it should be"),
    ExitStatus.DOWN: ("unhealthy", "the master cannot be used"),
}
_TITLES = {
    "error": Text.assemble(mark(ExitStatus.DOWN), (" Wrong", "bold")),
    "warning": Text.assemble(mark(ExitStatus.DEGRADED), (" Risky", "bold")),
    "hint": Text("  Worth a thought", style="bold"),
}


def document(diagnosis: Diagnosis) -> dict[str, Any]:
    """
    The JSON document.
    """
    return {
        "status": _STATUS[diagnosis.status][0],
        "findings": [{"check": name, **asdict(found)} for name, found in diagnosis.findings],
        "checked": list(diagnosis.checked),
        "skipped": [asdict(each) for each in diagnosis.skipped],
    }


def told(diagnosis: Diagnosis) -> RenderableType:
    """
    What is wrong first, then what is risky, then what could not be checked.
    """
    return Group(*_parts(diagnosis))


def _parts(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    status = diagnosis.status
    yield Text.assemble(mark(status), " ", _STATUS[status][1])
    for severity in SEVERITIES:
        found = [each for each in diagnosis.findings if each[1].severity == severity]
        if found:
            yield Text.assemble("\n", _TITLES[severity])
        for name, finding in _merged(found):
            yield from _finding(name, finding)
    if diagnosis.skipped:
        yield Text("\nNot checked", style="bold")
        for why, checks in _by_reason(diagnosis.skipped).items():
            yield _Indented(Text.assemble((f"{listed(checks)}  ", "bold"), why), 2)
    yield Text(f"\n{len(diagnosis.checked)} checks were made.")


def _finding(name: str, finding: Finding) -> Iterator[RenderableType]:
    where = f"{finding.server}: " if finding.server is not None else ""
    yield _Indented(Text.assemble((f"{name}  ", "bold"), where, finding.found), 2)
    yield _Indented(Text(f"{finding.why}.", style="dim"), 4)
    yield _Indented(Text(f"To mend: {finding.mend}"), 4)


def _merged(found: Iterable[tuple[str, Finding]]) -> Iterator[tuple[str, Finding]]:
    # What holds for several servers is said once; a program gets it for each.
    servers: dict[tuple[str, Finding], list[str]] = {}
    for name, finding in found:
        where = servers.setdefault((name, replace(finding, server=None)), [])
        where += [finding.server] if finding.server is not None else []
    for (name, finding), where in servers.items():
        yield name, replace(finding, server=listed(where) or None)


def _by_reason(skipped: Iterable[Skipped]) -> dict[str, list[str]]:
    checks: dict[str, list[str]] = defaultdict(list)
    for each in skipped:
        checks[each.why].append(each.check if each.check != "*" else "all")
    return checks


@dataclass(frozen=True, slots=True)
class _Indented:
    """
    A paragraph that is wrapped at a terminal, and stays one line in a pipe.
    """

    text: Text
    columns: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        width = options.max_width - self.columns
        whole = not console.is_terminal
        for line in [self.text] if whole else self.text.wrap(console, width, no_wrap=False):
            line.pad_left(self.columns)
            yield line
