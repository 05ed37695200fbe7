"""
The report in the terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tests.benchmarks.bars import FIGURES, Verdict
from tests.benchmarks.model import BASELINE, Loop, Result, baseline_loop
from tests.benchmarks.ratios import Key, Ratio, by_key, median_of, paired, shown
from tests.benchmarks.works import WORKS

__all__ = [
    "HEAD",
    "Line",
    "aligned",
    "bar_line",
    "lines",
    "number",
    "order",
    "progress",
    "show",
    "troubles",
]

Line = tuple[str, ...]
HEAD: Line = (
    *("work", "loop", "client", "commands/s", "ratio", "CPU us"),
    *("p50 us", "p99 us", "p999 us"),
)


def show(results: Sequence[Result], verdicts: Sequence[Verdict]) -> str:
    """
    The table with the ratios, what came to nothing, and the bars.
    """
    parts = [aligned([HEAD, *lines(results)])]
    parts += troubles(results)
    if verdicts:
        parts.append(aligned([("bar", "is", "must be", "aim", ""), *map(bar_line, verdicts)]))
        missed = [verdict for verdict in verdicts if not verdict.passed]
        parts.append(
            "\n".join(f"missed: {verdict.bar.name}" for verdict in missed)
            if missed
            else "Every bar is reached."
        )
    return "\n\n".join(parts)


def lines(results: Iterable[Result]) -> list[Line]:
    """
    One line per work, loop and client: medians, and the ratio of the rates to the baseline's.
    """
    found = by_key(results)
    return [_line(key, found) for key in sorted(found, key=order)]


def order(key: Key) -> tuple[int, Loop, Loop, str]:
    """
    Where it stands in a table.
    """
    work, client, loop = key
    return (list(WORKS).index(work), baseline_loop(loop), loop, client)


def _line(key: Key, found: Mapping[Key, Mapping[int, Result]]) -> Line:
    work, client, loop = key
    mine = found[key]
    reference = found.get((work, BASELINE, baseline_loop(loop)), {})
    ratio = paired(mine, reference, FIGURES["rate"])
    latencies = (median_of(mine, FIGURES[name]) for name in ("p50", "p99", "p999"))
    return (
        *(work, loop, client, number(median_of(mine, FIGURES["rate"]))),
        str(ratio) if ratio else "",
        number(median_of(mine, FIGURES["CPU per command in us"])),
        *map(number, latencies),
    )


def troubles(results: Iterable[Result]) -> list[str]:
    """
    One line for each cell that failed and each client that is absent, and how busy the machine was
    with other things.
    """
    seen = list(results)
    failed = {f"{each.cell.name}: {each.trouble}" for each in seen if each.trouble is not None}
    absent = {f"{each.cell.client}: left out, {each.absent}" for each in seen if each.absent}
    return [*sorted(failed), *sorted(absent), *_foreign(seen)]


def _foreign(results: Iterable[Result]) -> list[str]:
    shares = sorted(
        100 * result.foreign_cpu / result.seconds
        for result in results
        if result.measured and result.foreign_cpu is not None
    )
    if not shares:
        return []
    middle, most = shares[len(shares) // 2], shares[-1]
    told = f"Other work on this machine took {middle:.0f} % of a core in the median cell"
    return [f"{told}, {most:.0f} % at most."]


def bar_line(verdict: Verdict) -> Line:
    """
    One bar: its name, its value, its limit.
    """
    bar = verdict.bar
    as_ratio = bar.against is not None and not bar.difference
    mark = "" if verdict.passed else "MISSED"
    value = verdict.value
    is_ = str(value) if isinstance(value, Ratio) else number(value)
    return (
        bar.name,
        f"skipped: {verdict.skipped}" if verdict.skipped else is_ or "not measured",
        f"{bar.bound} {shown(bar.limit) if as_ratio else number(bar.limit)}",
        "" if bar.aim is None else shown(bar.aim) if as_ratio else number(bar.aim),
        mark,
    )


def progress(result: Result) -> str:
    """
    One line while it goes on.
    """
    if not result.measured:
        return f"{result.cell.name}: {result.trouble or result.absent}"
    return (
        f"{result.cell.name}: {number(result.rate)}/s, {number(result.cpu_per_command)} us of CPU,"
        f" p50 {number(result.p50)} us, p99 {number(result.p99)} us"
    )


def number(value: float | None) -> str:
    """
    Three digits, and an empty cell for nothing.
    """
    if value is None:
        return ""
    if abs(value) >= 100_000:
        return f"{value / 1000:,.0f}k"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def aligned(table: Sequence[Line]) -> str:
    """
    The lines as columns; those of figures stand to the right.
    """
    widths = [max(len(line[n]) for line in table) for n in range(len(table[0]))]
    figures = {n for n in range(len(widths)) if all(_is_figure(line[n]) for line in table[1:])}
    return "\n".join(
        "  ".join(
            cell.rjust(width) if n in figures else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    )


def _is_figure(cell: str) -> bool:
    return not cell or cell[0].isdigit() or cell[0] == "-"
