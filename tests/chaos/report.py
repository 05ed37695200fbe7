"""
All trials of a run, summed up: the verdict on each bar, and what could not be judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.chaos.bars import Bar, Verdict, judge
from tests.chaos.checker import ANOMALIES
from tests.chaos.clients import OURS
from tests.chaos.scenes import Scene
from tests.chaos.trial import Trial

__all__ = ["Report", "Row", "rows", "sum_up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    The verdicts on our client; trials of ours that came to nothing, and scenes that need an
    option which is not built, by name with their reason.
    """

    verdicts: tuple[Verdict, ...]
    troubled: Mapping[str, str]
    unbuilt: Mapping[str, str]

    @property
    def passed(self) -> bool:
        """
        Whether every bar was judged and reached.
        """
        return (
            not self.troubled
            and not self.unbuilt
            and all(verdict.passed for verdict in self.verdicts)
        )


def sum_up(scenes: Iterable[Scene], trials: Sequence[Trial]) -> Report:
    """
    The report on the trials of our client.
    """
    verdicts: list[Verdict] = []
    ours = [trial for trial in trials if trial.client == OURS]
    for scene in scenes:
        played = [t for t in ours if t.scene == scene.name and t.trouble is None]
        if played:
            verdicts += [_verdict(bar, scene, played) for bar in scene.bars]
    return Report(
        verdicts=tuple(verdicts),
        troubled={t.scene: t.trouble for t in ours if t.trouble and not t.unbuilt},
        unbuilt={t.scene: t.trouble or "" for t in ours if t.unbuilt},
    )


def _verdict(bar: Bar, scene: Scene, trials: Sequence[Trial]) -> Verdict:
    # Where Sentinel held two elections, a promotion that we followed early came to nothing, and
    # writes to it with it: those trials are apart. Where the machine stood still, timings are.
    once = [trial for trial in trials if trial.elections <= 1] or trials
    judged = once if bar.counts else [trial for trial in once if trial.clean] or once
    return judge(bar, scene.name, scene.down_after, [trial.figures for trial in judged])


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    One scene with one client, all its trials: medians of durations, sums of what was counted.
    """

    scene: str
    client: str
    trials: int
    apart: int
    """Trials whose timings do not count: see `Trial.clean`."""
    outage: float | None
    reaction: float | None
    errors: int
    longest_call: float | None
    lost: int
    duplicates: int
    stale: int
    absent: int
    leaks: int
    anomalies: Mapping[str, int]
    trouble: str | None


def rows(trials: Iterable[Trial]) -> list[Row]:
    """
    One row per scene and client, in the order in which the scenes first came.
    """
    sorted_out: dict[str, dict[str, list[Trial]]] = {}
    for trial in trials:
        sorted_out.setdefault(trial.scene, {}).setdefault(trial.client, []).append(trial)
    return [
        _row(scene, client, played)
        for scene, by_client in sorted_out.items()
        for client, played in by_client.items()
    ]


def _row(scene: str, client: str, trials: Sequence[Trial]) -> Row:
    seen = [trial for trial in trials if trial.trouble is None]
    clean = [trial for trial in seen if trial.clean] or seen

    def middle(name: str) -> float | None:
        values = [value for each in clean if (value := each.figures.get(name)) is not None]
        return median(values) if values else None

    def total(*names: str) -> int:
        return sum(int(each.figures.get(name) or 0) for each in seen for name in names)

    return Row(
        scene=scene,
        client=client,
        trials=len(trials),
        apart=sum(1 for trial in seen if not trial.clean),
        outage=middle("outage"),
        reaction=middle("reaction"),
        errors=total("errors"),
        longest_call=max((each.figures["longest_call"] or 0.0 for each in seen), default=None),
        lost=total("lost"),
        duplicates=total("duplicates"),
        stale=total("stale"),
        absent=total("absent"),
        leaks=total("tasks_left", "sockets_left"),
        anomalies={name: total(f"history_{name}") for name in ANOMALIES},
        trouble=next((trial.trouble for trial in trials if trial.trouble), None),
    )
