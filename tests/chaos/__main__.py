"""
`python -m tests.chaos`: plays the scenes, prints the table, and fails when ours misses a bar.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec

from tests.chaos.clients import CLIENTS, OURS
from tests.chaos.everything import SCENES
from tests.chaos.report import Report, rows, sum_up
from tests.chaos.runner import plan, run_all
from tests.chaos.scenes import Scene
from tests.chaos.table import show
from tests.chaos.timeline import draw
from tests.chaos.trial import Trial, play

SHORT = ("kill", "planned", "replica-hung", "sentinels-dead")


def main(arguments: Sequence[str] | None = None) -> int:
    """
    The exit status: 0 when every bar is reached.
    """
    chosen = _parser().parse_args(arguments)
    if chosen.one:
        return _play_one(*chosen.one, chosen.answer, chosen.history)
    names = chosen.scene or (SHORT if chosen.short else list(SCENES))
    if chosen.list:
        for name in names:
            print(f"{name:22} {SCENES[name].about}")  # noqa: T201
        return 0
    clients = [OURS] if chosen.short else chosen.clients.split(",")
    wanted = [SCENES[name] for name in names]
    skipped = {scene.name: why for scene in wanted if (why := scene.missing()) is not None}
    scenes = [scene for scene in wanted if scene.name not in skipped]
    trials = _run(scenes, clients, 1 if chosen.short else chosen.trials, chosen.out)
    report = sum_up(scenes, trials)
    print(show(rows(trials), report, skipped))  # noqa: T201
    if chosen.out is not None:
        _write(chosen.out, scenes, trials, report, skipped)
    return 0 if report.passed else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--scene", action="append", choices=list(SCENES), metavar="NAME")
    parser.add_argument("--clients", default=",".join(CLIENTS), metavar="NAME,NAME")
    parser.add_argument("--trials", type=int, metavar="N", help="instead of what each scene says")
    parser.add_argument("--short", action="store_true", help="ours only, four scenes, once each")
    parser.add_argument("--out", type=Path, metavar="DIR", help="for figures, histories, plots")
    parser.add_argument("--list", action="store_true", help="the scenes")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--history", type=Path, help=argparse.SUPPRESS)
    return parser


def _run(
    scenes: Sequence[Scene], clients: Sequence[str], trials: int | None, out: Path | None
) -> list[Trial]:
    histories = None if out is None else out / "histories"
    if histories is not None:
        histories.mkdir(parents=True, exist_ok=True)
    began, done = time.monotonic(), []
    for trial in run_all(plan(scenes, clients, trials), histories):
        done.append(trial)
        outage = trial.figures.get("outage")
        told = trial.trouble or f"outage {(outage or 0) * 1000:.0f} ms"
        line = f"{time.monotonic() - began:6.0f} s  {trial.scene} ({trial.client}): {told}"
        print(line, file=sys.stderr, flush=True)  # noqa: T201
    return done


def _play_one(name: str, client: str, answer: Path, history: Path | None) -> int:
    logging.disable(logging.CRITICAL)  # what clients tell of the outage is not what is measured
    trial, operations = asyncio.run(play(SCENES[name], client))
    answer.write_bytes(msgspec.json.encode(trial))
    if history is not None:
        history.write_bytes(msgspec.json.Encoder().encode_lines(operations))
    return 0


def _write(
    out: Path,
    scenes: Sequence[Scene],
    trials: Sequence[Trial],
    report: Report,
    skipped: dict[str, str],
) -> None:
    figures = {
        "when": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "rows": [asdict(row) for row in rows(trials)],
        "bars": [
            {
                "row": each.bar.row,
                "scene": each.scene,
                "what": each.bar.what,
                "statistic": each.bar.statistic,
                "value": each.value,
                "limit": each.limit,
                "counts": each.bar.counts,
                "trials": each.trials,
                "passed": each.passed,
            }
            for each in report.verdicts
        ],
        "skipped": skipped,
        "not built": dict(report.unbuilt),
        "trials": [asdict(trial) for trial in trials],
    }
    (out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    for scene in scenes:
        firsts = {t.client: t for t in reversed(trials) if t.scene == scene.name and t.acknowledged}
        shown = [firsts[client] for client in CLIENTS if client in firsts]
        if shown:
            title = f"{scene.name}: {scene.about}"
            (out / f"timeline-{scene.name}.svg").write_text(draw(title, shown))


if __name__ == "__main__":
    sys.exit(main())
