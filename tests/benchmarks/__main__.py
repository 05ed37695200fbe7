"""
`python -m tests.benchmarks`: measures ours against its peers and prints how they compare.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.benchmarks.memory import COMMANDS
from tests.benchmarks.model import BASELINE
from tests.benchmarks.parts import PARTS, Choice
from tests.benchmarks.plan import Timing, recipes, table
from tests.benchmarks.works import WORKS


def main(arguments: Sequence[str] | None = None) -> int:
    """
    The exit status: 0 unless `--check` was asked for and a bar is missed.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    choice = Choice(
        timing=_timing(given),
        works=frozenset(given.work),
        clients=frozenset(given.client),
        loops=frozenset(given.loop),
        commands=given.commands,
        record=given.record,
        out=given.out,
    )
    missed = 0
    for name in given.parts or ["table"]:
        if name not in PARTS:
            parser.error(f"there is no part {name!r}: {', '.join(PARTS)}")
        missed += _play(name, PARTS[name], choice)
    return 1 if given.check and missed else 0


def _play(name: str, part: Callable[[Choice], tuple[str, int]], choice: Choice) -> int:
    print(f"== {name}", flush=True)  # noqa: T201
    text, missed = part(choice)
    print(f"\n{text}\n", flush=True)  # noqa: T201
    return missed


def _timing(given: argparse.Namespace) -> Timing:
    usual = Timing(seconds=0.2, warm_up=0.1, reps=1) if given.quick else Timing()
    return Timing(
        seconds=given.seconds or usual.seconds,
        warm_up=usual.warm_up,
        reps=given.reps or usual.reps,
    )


def _parser() -> argparse.ArgumentParser:
    groups = table(Timing()) + recipes(Timing())
    clients = sorted({cell.client for group in groups for cell in group})
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"{', '.join(PARTS)}; the table, if none")
    parser.add_argument("--work", action="append", default=[], choices=list(WORKS), metavar="W")
    parser.add_argument(
        "--client",
        action="append",
        default=[],
        choices=clients,
        metavar="C",
        help=f"beside {BASELINE}: {', '.join(clients)}",
    )
    parser.add_argument("--loop", action="append", default=[], choices=("asyncio", "uvloop"))
    parser.add_argument("--reps", type=int, metavar="N")
    parser.add_argument("--seconds", type=float, metavar="S", help="of each cell")
    parser.add_argument("--commands", type=int, default=COMMANDS, help="of the part memory")
    parser.add_argument("--quick", action="store_true", help="short and once: is everything there?")
    parser.add_argument("--check", action="store_true", help="fail when a bar is missed")
    parser.add_argument("--record", action="store_true", help="of the part profile: its counts")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), metavar="DIR")
    return parser


if __name__ == "__main__":
    sys.exit(main())
