"""
Options of the simulation: which schedules run.

pytest knows them when it is started for this folder; ``SIM_SEED`` and ``SIM_COUNT`` in the
environment do the same everywhere.
"""

from __future__ import annotations

import os

import pytest

COUNT = 100
"""Schedules of a run that does not say otherwise; `make sim` runs thousands."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("simulation")
    group.addoption("--sim-seed", type=int, help="replay this one schedule, and print what happens")
    group.addoption("--sim-count", type=int, help=f"how many schedules to run (default {COUNT})")


@pytest.fixture(scope="session")
def replayed_seed(pytestconfig: pytest.Config) -> int | None:
    """
    The one seed to replay, if there is one.
    """
    given = pytestconfig.getoption("--sim-seed", None)
    fallback = os.environ.get("SIM_SEED")
    return given if given is not None else int(fallback) if fallback else None


@pytest.fixture(scope="session")
def schedule_count(pytestconfig: pytest.Config) -> int:
    """
    How many seeds to run, from 1 on.
    """
    given = pytestconfig.getoption("--sim-count", None)
    return given if given is not None else int(os.environ.get("SIM_COUNT") or COUNT)
