"""
Writes docs/faults.md and its plots from a run of the fault suite:
`make chaos`, then `python -m tests.docs.faults_page build/chaos`.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.chaos.checker import ANOMALIES
from tests.chaos.everything import SCENES

DOCS = Path(__file__).parents[2] / "docs"
PAGE, PLOTS = DOCS / "faults.md", DOCS / "faults"

SHOWN = ("kill", "hang-wakes", "planned", "partition")

HEAD = """# Faults

What the fault suite measured, made by `make chaos` and `python -m tests.docs.faults_page
build/chaos`. {when}, Python {python}, {system}. Real servers and sentinels on one machine with
two cores; the group's down-after (D) is 1 s; 8 writers, a heartbeat, one reader of the master,
3 readers of replicas. Each client has a group, a process and a run of its own; *redis-py tuned*
has short timeouts and ten retries. Run it yourself: every figure is computed from the recorded
start and end of each call, and from what the servers hold at the end.

Milliseconds; medians of n trials, sums of the rest. *Outage* is the longest time without an
acknowledged write that survived, *reaction* the time from the first `+switch-master` to all
writers writing, *lost* the acknowledged writes that are gone, *twice* the runs too many of an
`INCR`, *stale* the reads more than 2 s old, *absent* the existing keys that were read as
absent.
"""

BARS = """
## Our bars

Each with the value that came closest to its limit, over all scenes that judge it. What to know
of them:

- Trials in which Sentinel held two elections are apart, and timings of trials in which the machine
  itself stood still for more than 50 ms.
- Where a server hangs or vanishes, the sentinels ping every 333 ms: with their default of 1 s,
  chance adds up to a second to every client's outage.
- In a coordinated failover the servers themselves take no write for some hundred milliseconds;
  the bar is about what the client adds.
- "A few" queries of a client in a failover are at most 25 commands per sentinel beyond those of
  a calm time; a round of questions has two to five.

"""

HISTORIES = """
## Histories

The registers' calls, through a checker of linearizability for single keys
(`tests/chaos/checker.py`); reads from replicas are left out. What a scene and client do not
have here was without any anomaly.

Under asynchronous replication two of them cannot be ruled out for a client: *lost* writes,
where the master that acknowledged them failed or was cut off before a replica had them, and
what follows from that: reads that saw such a write before it was gone are *contradictions*, and
*non-monotonic* for their reader. With `durability="all"` a lost write was never acknowledged
(it raised `NotDurableError` or `OutcomeUnknownError`), but may have been read.

"""


def page(run: dict[str, Any]) -> str:
    """
    The page's whole text.
    """
    rows: list[dict[str, Any]] = run["rows"]
    parts = [HEAD.format(**run)]
    parts += [f"![{name}](faults/{name}.svg)\n" for name in SHOWN]
    head = ("scene", "client", "n", "outage", "reaction", "errors", "longest call")
    parts.append(_table((*head, "lost", "twice", "stale", "absent", "leaks"), map(_row, rows)))
    parts.append(BARS)
    parts.append(
        _table(("row", "what", "is", "at most", "scene"), map(_bar, _closest(run["bars"])))
    )
    parts.append(HISTORIES)
    odd = [row for row in rows if any(row["anomalies"].values())]
    cells = ((r["scene"], r["client"], *map(str, r["anomalies"].values())) for r in odd)
    parts.append(_table(("scene", "client", *ANOMALIES), cells))
    parts += ["\n## Scenes\n\n", *(f"- **{s.name}**: {s.about}\n" for s in SCENES.values())]
    skipped = [f"- {name}: {why}" for name, why in run["skipped"].items()]
    if skipped:
        parts += ["\nSkipped:\n\n", "\n".join(skipped), "\n"]
    return "".join(parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(each)} |" for each in (head, ["---"] * len(head), *rows)]
    return "\n" + "\n".join(lines) + "\n"


def _row(row: dict[str, Any]) -> list[str]:
    if row["trouble"] and row["outage"] is None:
        return [row["scene"], row["client"], str(row["trials"]), row["trouble"], *[""] * 8]
    counts = ("errors", "lost", "duplicates", "stale", "absent", "leaks")
    errors, *others = (str(row[name]) for name in counts)
    times = [_ms(row[name]) for name in ("outage", "reaction")]
    first = [row["scene"], row["client"], str(row["trials"])]
    return [*first, *times, errors, _ms(row["longest_call"]), *others]


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f}"


def _closest(bars: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    closest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for bar in bars:
        key = (bar["row"], bar["what"], bar["statistic"], bar["limit"])
        held = closest.get(key)
        if held is None or (bar["value"] or 0) > (held["value"] or 0):
            closest[key] = bar
    return sorted(closest.values(), key=lambda bar: (bar["row"], bar["what"]))


def _bar(bar: dict[str, Any]) -> list[str]:
    def told(value: float | None) -> str:
        if value is None:
            return "not seen"
        return f"{value:g}" if bar["counts"] else f"{value * 1000:.0f} ms"

    what = f"{bar['what']} ({bar['statistic']} of {bar['trials']})"
    missed = "" if bar["passed"] else " **missed**"
    return [str(bar["row"]), what, told(bar["value"]) + missed, told(bar["limit"]), bar["scene"]]


def main(folder: Path) -> None:
    """
    Writes the page and copies the plots.
    """
    run = json.loads((folder / "figures.json").read_text())
    PAGE.write_text(page(run))
    PLOTS.mkdir(exist_ok=True)
    for name in SHOWN:
        shutil.copyfile(folder / f"timeline-{name}.svg", PLOTS / f"{name}.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
