"""
The group for people: the verdict, a line to each server, and the sections of INFO if asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from sahool_cache.cli.answer import mark
from sahool_cache.cli.escapes import printable
from sahool_cache.cli.exit_status import ExitStatus
from sahool_cache.cli.health import STATUS, findings
from sahool_cache.cli.status.details import details
from sahool_cache.cli.status.figures import Figures
from sahool_cache.cli.survey import SentinelWord, Survey
from sahool_cache.cli.units import count, size, span

__all__ = ["picture"]

_COLUMNS = ("server", "role", "behind", "memory", "clients", "cmd/s", "keys", "up", "version")
_UNKNOWN = "-"


def picture(survey: Survey, figures: Sequence[Figures], *, verbose: bool) -> RenderableType:
    """
    The whole of it.
    """
    parts: list[RenderableType] = [_head(survey), *_troubles(survey)]
    telling = [each for each in figures if each.why is None]
    if telling:
        parts += [Text(), *_servers(telling)]
    parts += [_silent(each) for each in figures if each.why is not None]
    if verbose:
        for word in survey.servers:
            if word.why is None:
                parts += [Text(), *details(word)]
    return Group(*parts)


def _head(survey: Survey) -> Text:
    status = survey.health["status"]
    ago = "" if survey.master_for is None else f" {span(survey.master_for)} ago"
    last = f"last failover{ago}" if survey.epoch else "no failover so far"
    words = f"{printable(survey.settings.master_name)} is {status}"
    if survey.newest is not None:
        words += f": epoch {survey.epoch}, {last}"
    return Text.assemble(mark(STATUS[status]), " ", (words, "bold"))


def _troubles(survey: Survey) -> Iterator[Text]:
    """
    What health finds wrong, and the sentinels in any case; a server's line speaks for itself.
    """
    for status, words in list(findings(survey.health))[1:]:
        if status != ExitStatus.OK and not words.startswith(("master", "replica")):
            yield Text.assemble(mark(status), " ", words)
    answering = [each for each in survey.sentinels if each.view is not None]
    if len(answering) == len(survey.sentinels):
        quorum = survey.newest.quorum if survey.newest is not None else 0
        words = f"{len(answering)} of {len(answering)} sentinels answer, the quorum is {quorum}"
        yield Text.assemble(mark(ExitStatus.OK), " ", words)
    for word in survey.sentinels:
        told = _sentinel(word)
        if told is not None:
            yield Text.assemble(mark(ExitStatus.DEGRADED), f" sentinel {word.address}: {told}")
    if survey.unexplained is not None:
        yield Text(printable(survey.unexplained))


def _sentinel(word: SentinelWord) -> str | None:
    if word.view is None:
        return printable(word.why)
    return None if word.quorate else f"could not fail over: {printable(word.usable)}"


def _servers(figures: Sequence[Figures]) -> Iterator[Text]:
    """
    Lines in columns that are as wide as they have to be: a narrow terminal cuts nothing.
    """
    rows = [_COLUMNS, *map(_cells, figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    titles, *lines = (" ".join(map(str.ljust, cells, widths)).rstrip() for cells in rows)
    yield Text(f"  {titles}", style="bold")
    for each, line in zip(figures, lines, strict=True):
        status = ExitStatus.OK if each.well else ExitStatus.DEGRADED
        yield Text.assemble(mark(status), " ", line)


def _cells(each: Figures) -> tuple[str, ...]:
    numbers = (each.clients, each.commands_per_second, each.keys)
    return (
        each.address,
        each.says or _UNKNOWN,
        _behind(each),
        _memory(each),
        *(_UNKNOWN if number is None else count(number) for number in numbers),
        _UNKNOWN if each.uptime_seconds is None else span(each.uptime_seconds),
        printable((each.version or _UNKNOWN).rpartition(" ")[2]),
    )


def _behind(each: Figures) -> str:
    seconds = None if each.lag_seconds is None else f"{each.lag_seconds:.1f}s"
    octets = None if each.lag_bytes is None else size(each.lag_bytes)
    return " ".join(filter(None, (seconds, octets))) or _UNKNOWN


def _memory(each: Figures) -> str:
    if each.used_memory is None:
        return _UNKNOWN
    return size(each.used_memory) + (f"/{size(each.maxmemory)}" if each.maxmemory else "")


def _silent(each: Figures) -> Text:
    lost = each.role == "master" and not each.answers
    status = ExitStatus.DOWN if lost else ExitStatus.DEGRADED
    said = "refuses INFO: " if each.answers else ""
    return Text.assemble(mark(status), f" {each.address} {each.role}: {said}{printable(each.why)}")
