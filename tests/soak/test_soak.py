from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.house import ROOT
from tests.soak.sample import BOUNDS
from tests.soak.slope import FEWEST
from tests.soak.soak import Plan, soak

BRIEF = Plan(seconds=7.0, window=0.5, failover_every=3.0, warm_up=6)


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_soak_does_every_kind_of_work_and_names_what_is_leaked() -> None:
    held: list[object] = []
    numbers: list[int] = []

    def leak() -> None:
        held.append([[n] for n in range(2000)])
        held.extend(os.pipe() for _ in range(3))

    try:
        outcome = await soak(BRIEF, leak=leak, told=lambda number, _sample: numbers.append(number))
    finally:
        for pipe in held:
            if isinstance(pipe, tuple):
                os.close(pipe[0])
                os.close(pipe[1])
    assert {"objects", "blocks", "descriptors"} <= set(outcome.rising)
    assert outcome.failovers >= 1
    assert numbers == list(range(6 + FEWEST))
    assert [trend.name for trend in outcome.trends] == list(BOUNDS)
    kinds = {"command", "pipeline", "read", "blocking", "pubsub", "cancel"}
    assert all(outcome.rounds[kind] > 5 for kind in kinds), outcome.rounds
    # Ten workers, what they have started, and the client's own.
    assert max(sample.tasks for sample in outcome.samples) < 50


def test_too_little_time_for_a_verdict_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--seconds", "5"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "too few to judge" in done.stderr
