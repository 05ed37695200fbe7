"""
Writes docs/performance.md and its plots from runs of the benchmarks:
`make bench ARGS="table recipes memory profile growth network"`, then
`python -m tests.docs.performance_page build/bench`.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tests.benchmarks import growth, network, report, store
from tests.benchmarks.bars import judge
from tests.benchmarks.instructions import Count, count_lines
from tests.benchmarks.model import Result
from tests.benchmarks.works import WORKS

DOCS = Path(__file__).parents[2] / "docs"
PAGE, PLOTS = DOCS / "performance.md", DOCS / "performance"

HEAD = """# Performance

What the benchmarks measured, made by `make bench` and `python -m tests.docs.performance_page
build/bench`: every figure comes from a run, none is written by hand. {when}, Python {python},
{system}, {processor}, {cores} cores; {versions}.

One process per client and work on one core, all servers on another, interleaved repetitions. The
group has three sentinels, and 10,000 keys with values of 100 bytes; two replicas where the work is
about them (*spread*, *hot-key*, *invalidation*, *durable*), and none elsewhere in the first table,
as they would do every write again on the master's core. *redis-py*,
the baseline, has a blocking pool of 50 connections that waits for ever, and its defaults otherwise;
*tuned* is a plain pool behind a fair semaphore, without timeouts of sockets. Ours has its defaults,
with deadline, breaker, retries, routing and observers in place, and goes through the sentinels. All
get bytes but *ours, text*. *redis-benchmark* is the server's own program in C, with one connection
and as many commands on their way as the work has tasks.

*ratio* is the median of the ratios to redis-py on the same event loop, each of two runs that
followed one another, with the lowest and the highest: these can be trusted where the machine's own
speed drifts, absolute figures less so. *CPU* is what the client's process spends per command, a
pipeline's single commands counted; latencies are those of one call, so of a whole pipeline.
uvloop is supported and never required.
"""

MEANING = """
What the works are:

{works}

In *hot-key* a thousand reads lie between two looks at the clock, and their mean is what counts as a
latency. *invalidation* is the time from the return of another client's SET until our `get` has
stopped answering with the value before.
"""

BARS = """
## Our bars

`make bench-check` fails when one of these is missed. Where the ratio is to another client than
redis-py, it says so.
"""

RECIPES = """
## Recipes

A cached function, a limiter and a lock: ours beside what people write with redis-py (GET and
`json.loads`; a sorted set in a pipeline), beside redis-py's own lock, and beside cashews and
aiocache with 50 and 100 connections and their defaults otherwise. Ours has its defaults; *near
cache*, *sliding window*, *log* and *fair* are options of it, and *GET alone* reads the same entries
with `get`, which is what a hit cannot be without. Entries are about 100 bytes of JSON, and pickled
by cashews; its limiter counts in fixed windows. aiocache has no limiter, and its lock lets all who
wait pass at once.

{works}

*commands/s* counts calls: a lock that is taken and given back is one. In *lock-hand-over* a latency
is the time until all have had the lock once; redis-py asks again every 0.1 s, cashews without a
pause, and ours when it is told.
"""

MEMORY = """
## Memory

MB that the process holds after each tenth of {commands:,} GET by 100 tasks: {rounds}.
"""

PROFILE = """
## Instructions per command

Counted by valgrind, tasks in step; also on a busy machine these hardly change, so they show when a
change makes commands dearer. The reference is redis-py's GET.
"""

GROWTH = """
## How cost grows

Tasks, sizes of values, lanes, and processes on the clients' one core: *commands/s* is the sum of
all processes, latencies are those of the slowest. With values of 1 MB a cell is 300 commands, as a
server keeps every reply until it is read. *beside-big* and *beside-slow* show what small commands
suffer from others: Redis does one command at a time, so no lane helps against a slow one on the
same server.
"""

NETWORK = """
## Beyond loopback

Over TLS, and through a proxy that makes each round trip longer. The proxy runs on the servers' core
and takes its time for every chunk, so it slows down whoever writes each command alone: without a
delay it shows how much. No client makes more commands per round trip than there are tasks: with 100
tasks and 2 ms that is 50,000 commands per second at most, and the ratio falls where this, and not
the client, is the limit. What a command costs the client shows in *CPU*.
"""


def page(parts: Mapping[str, Any]) -> str:
    """
    The page's whole text; a part that was not measured is not there.
    """
    sections: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
        "table": _table_section,
        "recipes": _recipes,
        "memory": _memory,
        "profile": _profile,
        "growth": _growth,
        "network": _network,
    }
    first = next(parts[name] for name in sections if name in parts)
    head = [_head(first["machine"])]
    return "".join(head + [write(parts[name]) for name, write in sections.items() if name in parts])


def _head(machine: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return HEAD.format(**(dict(machine) | {"versions": versions}))


def _table_section(part: Mapping[str, Any]) -> str:
    results = store.results_of(part)
    return "".join(
        [
            "\n![ratios](performance/ratios.svg)\n",
            _table(report.HEAD, report.lines(results)),
            MEANING.format(works=_about(results)),
            _notes(results),
            BARS,
            _bars(results),
        ]
    )


def _recipes(part: Mapping[str, Any]) -> str:
    results = store.results_of(part)
    table = _table(report.HEAD, report.lines(results))
    about = RECIPES.format(works=_about(results))
    return "".join([about, table, _notes(results), _bars(results)])


def _about(results: Iterable[Result]) -> str:
    works = {result.cell.work for result in results}
    return "\n".join(f"- **{name}**: {WORKS[name].about}" for name in WORKS if name in works)


def _bars(results: Sequence[Result]) -> str:
    verdicts = judge(results, [result.cell for result in results])
    lines = [
        (*line[:-1], line[-1] and f"**{line[-1].lower()}**")
        for line in map(report.bar_line, verdicts)
    ]
    return _table(("bar", "is", "must be", "aim", ""), lines)


def _memory(part: Mapping[str, Any]) -> str:
    (result,) = store.results_of(part)
    rounds = ", ".join(f"{each / 1024:.1f}" for each in result.rss_by_round)
    return MEMORY.format(commands=result.commands, rounds=rounds)


def _profile(part: Mapping[str, Any]) -> str:
    counts = msgspec.convert(part["counts"], list[Count])
    head, *lines = (line[:4] for line in count_lines(counts, {}))
    return PROFILE + _table(head, lines)


def _growth(part: Mapping[str, Any]) -> str:
    results = store.results_of(part)
    return GROWTH + _table(growth.HEAD, growth.growth_lines(results)) + _notes(results)


def _network(part: Mapping[str, Any]) -> str:
    places = msgspec.convert(part["places"], dict[str, list[Result]])
    plot = "\n![distances](performance/network.svg)\n"
    results = [result for found in places.values() for result in found]
    table = _table(network.HEAD, network.network_lines(places))
    return NETWORK + plot + table + _notes(results)


def _notes(results: Iterable[Result]) -> str:
    return "".join(f"\n- {line}" for line in report.troubles(results)) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    # A cell's own name may have bars in it.
    lines = [
        f"| {' | '.join(cell.replace('|', '/') for cell in each)} |"
        for each in (head, ["---"] * len(head), *rows)
    ]
    return "\n" + "\n".join(lines) + "\n"


def main(folder: Path) -> None:
    """
    Writes the page and copies the plots.
    """
    PAGE.write_text(page(store.load(folder)))
    PLOTS.mkdir(exist_ok=True)
    for plot in folder.glob("*.svg"):
        shutil.copyfile(plot, PLOTS / plot.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
