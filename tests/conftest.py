"""
What holds for every test: an environment of its own, and a time limit that fits its kind.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests import docker
from tests.monitoring import programs

LONGER = {"slow": 300, "container": 300, "monitoring": 300}
"""Seconds for the tests that carry a marker; pyproject.toml has the limit of all others."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        limits = [seconds for name, seconds in LONGER.items() if item.get_closest_marker(name)]
        if limits and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(max(limits)))


@pytest.hookimpl(tryfirst=True)  # before the fixtures, which start containers
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("container") and (missing := docker.missing()):
        docker.cannot_run(missing)
    if item.get_closest_marker("monitoring") and (missing := programs.missing()):
        programs.cannot_run(missing)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    # Without -rs pytest only counts what it skips, and keeps the reasons to itself.
    skipped = terminalreporter.getreports("skipped")
    if any("container" in report.keywords for report in skipped) and (missing := docker.missing()):
        terminalreporter.write_line(f"Container tests skipped: {missing}")
    if any("monitoring" in each.keywords for each in skipped) and (missing := programs.missing()):
        terminalreporter.write_line(f"Monitoring tests skipped: {missing}")


@pytest.fixture(scope="session", autouse=True)
def no_redis_variables() -> Iterator[None]:
    """
    Hides the developer's own ``REDIS_*`` variables, so that no test meets a real server by them.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.upper().startswith("REDIS_")]:
            patch.delenv(name)
        yield
