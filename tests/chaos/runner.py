"""
Runs trials, each in a process of its own: what one client leaves behind never meets another.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from tests.chaos.clients import OURS
from tests.chaos.scenes import Scene
from tests.chaos.trial import Trial

__all__ = ["Job", "plan", "run_all"]

_ROOT = Path(__file__).resolve().parents[2]
_AGAIN = 2
"""Further trials that a scene gets when the timings of some do not count."""
_AT_ONCE = 2
"""Trials of other clients that run at once; ours run alone, as their milliseconds count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """
    One scene with one client, some times over; histories go to `histories`, if that is given.
    """

    scene: Scene
    client: str
    trials: int
    histories: Path | None = None


def plan(scenes: Iterable[Scene], clients: Iterable[str], trials: int | None) -> list[Job]:
    """
    Who plays what how often: ours as often as the scene says, the others once.
    """
    chosen = list(clients)
    return [
        Job(scene=scene, client=client, trials=trials or (scene.trials if client == OURS else 1))
        for scene in scenes
        for client in chosen
        if client == OURS or scene.compares
    ]


def run_all(jobs: Iterable[Job], histories: Path | None = None) -> Iterator[Trial]:
    """
    The trials as they end.
    """
    listed = [replace(job, histories=histories) for job in jobs]
    for job in listed:
        if job.client == OURS:
            yield from _ours(job)
    others = [(job, n) for job in listed if job.client != OURS for n in range(job.trials)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(lambda pair: _one(*pair), others)


def _ours(job: Job) -> Iterator[Trial]:
    clean = tried = 0
    while clean < job.trials and tried < job.trials + _AGAIN:
        trial = _one(job, tried)
        yield trial
        tried += 1
        clean += trial.clean
        if trial.unbuilt:
            return


def _one(job: Job, number: int) -> Trial:
    with tempfile.TemporaryDirectory(prefix="chaos-") as place:
        answer = Path(place) / "trial.json"
        command = [sys.executable, "-m", "tests.chaos", "--one", job.scene.name, job.client]
        command += ["--answer", str(answer)]
        if job.histories is not None:
            name = f"{job.scene.name}-{job.client}-{number + 1}.jsonl"
            command += ["--history", str(job.histories / name)]
        trouble = _run(command, job.scene.timeout)
        if answer.exists():
            return msgspec.json.decode(answer.read_bytes(), type=Trial)
    return Trial(
        scene=job.scene.name,
        client=job.client,
        down_after=job.scene.down_after,
        trouble=trouble or "it ended without an answer",
    )


def _run(command: list[str], timeout: float) -> str | None:
    # A group of processes of its own: what the trial has started ends with it.
    process = subprocess.Popen(
        command,
        cwd=_ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    try:
        _, said = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return f"did not end within {timeout:g} s"
    except BaseException:  # interrupted: the trial hears nothing of it by itself
        process.kill()
        raise
    last = (said.strip().splitlines() or [""])[-1]
    return f"ended with {process.returncode}: {last}" if process.returncode else None
