"""
Bars fail when they should: on a value over the limit, and on a figure that nobody saw.
"""

from __future__ import annotations

import math

import pytest

from tests.chaos import bars
from tests.chaos.bars import Bar, judge
from tests.chaos.everything import SCENES
from tests.chaos.history import History
from tests.chaos.report import rows, sum_up
from tests.chaos.scenes import Scene, register
from tests.chaos.scenes_crowd import busiest_share
from tests.chaos.table import show
from tests.chaos.timeline import draw
from tests.chaos.trial import Event, Trial

REACTION, SLOWEST_REACTION = bars.REACTION


def trial(scene: str = "kill", client: str = "ours", elections: int = 1, **figures: float) -> Trial:
    seen = {"outage": 1.4, "longest_call": 1.4, "errors": 0, "lost": 0}
    return Trial(
        scene=scene,
        client=client,
        down_after=1.0,
        figures=seen | figures,
        elections=elections,
        events=[Event(at=0.0, name="fault"), Event(at=1.0, name="+sdown")],
        acknowledged=[20] * 20 + [0] * 28 + [20] * 20,
    )


def verdicts(*trials: Trial) -> dict[tuple[str, str], bool]:
    report = sum_up([SCENES["kill"]], trials)
    return {(each.bar.figure, each.bar.statistic): each.passed for each in report.verdicts}


@pytest.mark.parametrize(
    ("bar", "values", "passed"),
    [
        (REACTION, [0.010, 0.014, 0.040], True),
        (REACTION, [0.010, 0.016, 0.040], False),
        (SLOWEST_REACTION, [0.010, 0.010, 0.040], True),
        (SLOWEST_REACTION, [0.010, 0.010, 0.051], False),
        (REACTION, [], False),
        (REACTION, [0.010, None], False),
        (REACTION, [0.010, math.inf, math.inf], False),
    ],
)
def test_a_bar_is_reached_by_what_it_says(
    bar: Bar, values: list[float | None], *, passed: bool
) -> None:
    found = judge(bar, "kill", 1.0, [{"reaction": value} for value in values])
    assert found.passed is passed


def test_limits_follow_down_after() -> None:
    outage = bars.CRASH_EARLY[0]
    assert (outage.limit(1.0), outage.limit(5.0)) == (1.5, 5.5)


def test_an_optional_figure_may_be_missing_but_not_too_high() -> None:
    (reads,) = [each for each in bars.PLANNED if each.figure == "reads_old"]
    assert judge(reads, "planned", 1.0, [{}]).passed
    assert judge(reads, "planned", 1.0, [{"reads_old": 0}, {}]).passed
    assert not judge(reads, "planned", 1.0, [{"reads_old": 1}, {}]).passed


def test_two_elections_set_a_trial_apart() -> None:
    quick, slow = trial(), trial(elections=2, outage=4.0)
    assert verdicts(quick, slow)["outage", "median"]
    assert verdicts(quick, trial(outage=4.0), trial(outage=4.0))["outage", "median"] is False
    assert verdicts(quick, trial(elections=2, lost=1))["lost", "max"]
    assert not verdicts(trial(elections=2, lost=1))["lost", "max"], "there is no other trial"


def test_a_machine_that_stood_still_excuses_a_long_outage_but_no_lost_write() -> None:
    quick, slow = trial(), trial(outage=4.0)
    slow.stall = 0.2
    assert verdicts(quick, slow, slow)["outage", "median"]
    assert not verdicts(slow)["outage", "median"], "there is no other trial"
    slow.figures["lost"] = 1
    assert not verdicts(quick, slow)["lost", "max"]


def test_a_trial_that_came_to_nothing_fails_the_run() -> None:
    broken = Trial(scene="kill", client="ours", down_after=1.0, trouble="did not end")
    report = sum_up([SCENES["kill"]], [broken])
    assert not report.passed
    assert report.troubled == {"kill": "did not end"}


def test_an_option_that_is_not_built_is_told_and_fails_the_run() -> None:
    missing = Trial(
        scene="kill", client="ours", down_after=1.0, trouble="no durability", unbuilt=True
    )
    report = sum_up([SCENES["kill"]], [missing])
    assert (report.troubled, report.unbuilt) == ({}, {"kill": "no durability"})
    assert not report.passed


def test_other_clients_are_shown_and_not_judged() -> None:
    trials = [trial(client="redis-py", lost=6000)]
    report = sum_up([SCENES["kill"]], trials)
    assert report.verdicts == ()
    assert "6000" in show(rows(trials), report, {"partition": "no root"})


def test_the_table_says_which_bar_is_missed() -> None:
    trials = [trial(reaction=0.2)]
    text = show(rows(trials), sum_up([SCENES["kill"]], trials), {})
    (missed,) = [
        line for line in text.splitlines() if "median of 1" in line and "announced" in line
    ]
    assert missed.endswith("MISSED")
    assert "200 ms" in missed


def test_the_timeline_has_a_lane_for_each_client() -> None:
    drawn = draw("kill <9>", [trial(), trial(client="redis-py")])
    assert drawn.count('class="acks"') == 2
    assert "kill &lt;9&gt;" in drawn
    assert "prefers-color-scheme: dark" in drawn


def test_every_scene_has_bars_and_a_name_of_its_own() -> None:
    assert all(scene.bars for scene in SCENES.values())
    assert {bar.row for scene in SCENES.values() for bar in scene.bars} <= set(range(1, 17))
    with pytest.raises(ValueError, match="two scenes named kill"):
        register(Scene(name="kill", about="", run=SCENES["kill"].run))


def test_connects_that_come_at_once_are_not_spread() -> None:
    burst = [(0.0, 0), (0.005, 300), (0.010, 300)]
    spread = [(n / 100, n * 10) for n in range(31)]
    assert busiest_share(burst, 0.02) == 1
    assert busiest_share(spread, 0.015) == pytest.approx(2 / 30)
    assert busiest_share([(0.0, 5)], 0.02) == 0


def test_a_history_keeps_begin_and_end_of_every_call() -> None:
    now = iter([1.0, 2.0, 3.0, 4.0, 9.0])
    history = History(clock=lambda: next(now))
    one = history.begin("set", "k", "v", "writer 0")
    two = history.begin("get", "k", None, "writer 1")
    history.end(two, "ok", value="old")
    history.end(one, "failed", error="UnavailableError")
    first, second = history
    assert (first.kind, first.value, first.began, first.ended) == ("get", "old", 2.0, 3.0)
    assert (second.value, second.outcome, second.acknowledged) == ("v", "failed", False)


def test_a_call_that_never_ends_is_recorded_as_unknown() -> None:
    history = History()
    number = history.begin("incr", "k", None, "writer 0")
    assert history.give_up() == 1
    history.end(number, "ok", value="1")  # it came after all, too late
    (call,) = history
    assert (call.outcome, call.error) == ("unknown", "Unanswered")
