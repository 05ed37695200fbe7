"""
The report in the terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tests.chaos.bars import Verdict
from tests.chaos.checker import ANOMALIES
from tests.chaos.report import Report, Row
from tests.chaos.trial import STALLED

__all__ = ["show"]

_HEAD = (
    *("scene", "client", "n", "outage", "reaction", "errors", "longest", "lost"),
    *("twice", "stale", "absent", "leaks"),
)


def show(lines: Sequence[Row], report: Report, skipped: Mapping[str, str]) -> str:
    """
    The table of all clients, then our bars, then what was not judged.
    """
    parts = [
        "Milliseconds; medians of n trials, sums of errors, lost, duplicates, stale and absent.",
        _aligned([_HEAD, *(_cells(row, before) for row, before in _with_previous(lines))]),
    ]
    if apart := [f"{row.scene} ({row.client}): {row.apart}" for row in lines if row.apart]:
        parts.append(
            "Trials apart, as Sentinel held two elections, or, for timings, the machine stood still"
            f" for more than {STALLED * 1000:.0f} ms: {', '.join(apart)}"
        )
    if histories := [row for row in lines if any(row.anomalies.values())]:
        parts.append("Anomalies in the histories of the registers, reads from replicas left out:")
        parts.append(_aligned([("scene", "client", *ANOMALIES), *map(_anomalies, histories)]))
    parts += [f"{row.scene} ({row.client}): {row.trouble}" for row in lines if row.trouble]
    parts.append(_aligned(_bars(report.verdicts)))
    parts += [f"skipped: {name}: {reason}" for name, reason in skipped.items()]
    parts += [f"not built: {name}: {reason}" for name, reason in report.unbuilt.items()]
    missed = [verdict for verdict in report.verdicts if not verdict.passed]
    parts.append(
        "Every bar is reached."
        if report.passed
        else f"{len(missed)} of {len(report.verdicts)} bars are missed,"
        f" {len(report.troubled)} scenes came to nothing, {len(report.unbuilt)} are not built."
    )
    return "\n\n".join(parts)


def _anomalies(row: Row) -> tuple[str, ...]:
    return (row.scene, row.client, *(str(row.anomalies[name]) for name in ANOMALIES))


def _with_previous(lines: Sequence[Row]) -> Iterable[tuple[Row, Row | None]]:
    return zip(lines, (None, *lines[:-1]), strict=True)


def _cells(row: Row, before: Row | None) -> tuple[str, ...]:
    name = "" if before is not None and before.scene == row.scene else row.scene
    counted = (row.errors, row.lost, row.duplicates, row.stale, row.absent, row.leaks)
    errors, *rest = ["-"] * len(counted) if row.longest_call is None else map(str, counted)
    outage, reaction, longest = map(_ms, (row.outage, row.reaction, row.longest_call))
    return (name, row.client, str(row.trials), outage, reaction, errors, longest, *rest)


def _bars(verdicts: Iterable[Verdict]) -> list[tuple[str, ...]]:
    """
    One line for each part of each row: the scene that comes nearest to the limit, or misses it;
    and a line for every further scene that misses it.
    """
    sorted_out: dict[tuple[int, str, str], list[Verdict]] = {}
    for each in sorted(verdicts, key=lambda each: (each.bar.row, each.scene)):
        sorted_out.setdefault((each.bar.row, each.bar.what, each.bar.statistic), []).append(each)
    table = [("row", "what", "of trials", "is", "at most", "in the scene", "")]
    for alike in sorted_out.values():
        alike.sort(key=_nearness, reverse=True)
        first, *rest = alike
        table.append(_bar(first, more=len(rest)))
        table += [_bar(each) for each in rest if not each.passed]
    return table


def _nearness(verdict: Verdict) -> tuple[bool, float]:
    value = verdict.value if verdict.value is not None else float("-inf")
    return (not verdict.passed, value - verdict.limit)


def _bar(each: Verdict, more: int = 0) -> tuple[str, ...]:
    return (
        str(each.bar.row),
        each.bar.what,
        f"{each.bar.statistic} of {each.trials}",
        "not seen" if each.value is None else _number(each, each.value),
        _number(each, each.limit),
        each.scene + (f", and {more} more" if more else ""),
        "" if each.passed else "MISSED",
    )


def _number(verdict: Verdict, value: float) -> str:
    return f"{value:g}" if verdict.bar.counts else f"{_ms(value)} ms"


def _ms(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return "never" if seconds == float("inf") else f"{seconds * 1000:.0f}"


def _aligned(table: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[n]) for line in table) for n in range(len(table[0]))]
    numbers = {n for n in range(len(widths)) if all(_is_number(line[n]) for line in table[1:])}
    return "\n".join(
        "  ".join(
            cell.rjust(width) if n in numbers else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    )


def _is_number(cell: str) -> bool:
    return cell in {"", "-", "never"} or cell.removeprefix("-").replace(".", "").isdecimal()
