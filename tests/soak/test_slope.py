from __future__ import annotations

from random import Random

import pytest

from tests.soak.slope import FEWEST, Trend, chance, slope

WINDOWS = 20


def trend(values: list[float], *, bound: float = 0.5) -> Trend:
    return Trend(name="objects", values=tuple(values), bound=bound)


def noise(seed: int, *, spread: float = 2.0, leak: float = 0.0) -> list[float]:
    """
    Figures about 1000 that vary by `spread` percent, and grow by `leak` percent per window.
    """
    random = Random(seed)
    return [1000 + 10 * (random.gauss(0, spread) + leak * n) for n in range(WINDOWS)]


def test_the_slope_is_that_of_a_line_whatever_a_few_windows_do() -> None:
    line = [5.0 + 2 * n for n in range(11)]
    assert slope(line) == 2.0
    line[3], line[7] = 500.0, -500.0
    assert slope(line) == pytest.approx(2.0, abs=0.3)


def test_the_chance_is_what_mann_and_kendall_reckon() -> None:
    assert chance([1.0] * 10) == 1.0
    assert chance([1, 2, 3, 4, 5, 6, 7, 8]) == pytest.approx(0.0004, abs=0.0002)
    assert chance([8, 7, 6, 5, 4, 3, 2, 1]) > 0.999
    assert chance([1, 2, 1, 2, 1, 2, 1, 2]) > 0.2
    # By hand: 12 more rises than falls, a variance of 122 with three ties, so z = 11 / 11.05.
    assert chance([3, 1, 4, 1, 5, 9, 2, 6, 5, 3]) == pytest.approx(0.1597, abs=0.0001)


@pytest.mark.parametrize(("leak", "spread"), [(1.0, 2.0), (2.0, 4.0), (0.6, 0.5)])
def test_an_injected_leak_is_found(leak: float, spread: float) -> None:
    found = [trend(noise(seed, spread=spread, leak=leak)).rises for seed in range(200)]
    assert sum(found) >= 190 * (leak > 0.6) + 150 * (leak <= 0.6)


def test_a_leak_of_one_descriptor_per_failover_is_found() -> None:
    descriptors = [40.0 + n // 4 for n in range(WINDOWS)]
    assert trend(descriptors, bound=0.3).rises


@pytest.mark.parametrize("spread", [0.1, 2.0, 10.0])
def test_figures_that_only_vary_pass(spread: float) -> None:
    alarms = sum(trend(noise(seed, spread=spread)).rises for seed in range(300))
    assert alarms <= 2


def test_a_rise_below_the_bound_passes_however_regular_it_is() -> None:
    regular = [1000 + 4.0 * n for n in range(WINDOWS)]
    assert trend(regular).chance < 0.001
    assert not trend(regular).rises
    assert trend(regular, bound=0.3).rises


def test_what_falls_or_stays_passes() -> None:
    assert not trend([1000.0] * WINDOWS).rises
    assert not trend([0.0] * WINDOWS).rises
    assert not trend(noise(1, leak=-3.0)).rises
    assert not trend([1000.0 if n % 4 else 1300.0 for n in range(WINDOWS)]).rises


def test_too_few_windows_are_no_verdict() -> None:
    with pytest.raises(ValueError, match="too few"):
        trend([1.0] * (FEWEST - 1))
