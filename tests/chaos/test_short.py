"""
The short form of the fault suite: what must hold on the slowest machine. `make chaos` has the rest.
"""

from __future__ import annotations

import pytest

from tests.chaos.clients import OURS
from tests.chaos.everything import SCENES
from tests.chaos.trial import Trial, play

SLACK = 5.0
"""Seconds beyond D that an outage may last on a busy machine; it is about 0.4."""


async def played(name: str) -> Trial:
    trial, operations = await play(SCENES[name], OURS)
    assert trial.trouble is None
    assert len(operations) > 500
    figures = trial.figures
    assert figures["lost"] == 0, trial
    assert figures["duplicates"] == 0, trial
    assert figures["denied"] == 0, trial
    assert figures["absent"] == 0, trial
    assert figures["repeatable_errors"] == 0, trial
    assert figures["unknown_per_task"] in {0, 1}, trial
    assert figures["unanswered"] == 0, trial
    assert (trial.left, figures["sockets_left"]) == ([], 0), trial
    return trial


@pytest.mark.asyncio
async def test_a_master_that_crashes_costs_nothing_but_time() -> None:
    """
    SIGKILL: the new master is found, and nothing is lost.
    """
    trial = await played("kill")
    outage = trial.figures["outage"]
    assert outage is not None
    assert outage < trial.down_after + SLACK, trial
    assert trial.figures.get("reached_old", 0) == 0, trial
    # What makes the bars of `make chaos` was seen.
    assert trial.figures["first_write"] is not None, trial
    assert trial.figures["reaction"] is not None, trial


@pytest.mark.asyncio
async def test_a_planned_failover_costs_no_error() -> None:
    """
    SENTINEL FAILOVER: no call fails, no write reaches the ex-master, and nobody reads from it.
    """
    trial = await played("planned")
    assert trial.errors == {}
    assert trial.figures["reached_old"] == 0, trial
    assert trial.figures.get("reads_old", 0) == 0, trial


@pytest.mark.parametrize("name", ["replica-hung", "sentinels-dead"])
@pytest.mark.asyncio
async def test_who_is_not_the_master_may_fail(name: str) -> None:
    """
    A hung replica fails no read; two dead sentinels fail nothing while the master is healthy.
    """
    trial = await played(name)
    assert trial.errors.keys() <= {"incr OutcomeUnknownError"}, trial


@pytest.mark.asyncio
async def test_the_measuring_sees_what_another_client_loses() -> None:
    """
    redis-py goes on to write to the master that a planned failover has replaced.
    """
    trial, _ = await play(SCENES["planned"], "redis-py", patience=3.0)
    for figure in ("lost", "reached_old"):
        value = trial.figures[figure]
        assert value is not None
        assert value > 100, trial
