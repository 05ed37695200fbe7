from __future__ import annotations

from tests.chaos.checker import ANOMALIES
from tests.docs.faults_page import PAGE, PLOTS, SHOWN, page

ROW = {
    "scene": "kill",
    "client": "ours",
    "trials": 3,
    "outage": 1.4181,
    "reaction": None,
    "errors": 2,
    "longest_call": 1.5,
    "lost": 0,
    "duplicates": 0,
    "stale": 1,
    "absent": 0,
    "leaks": 0,
    "anomalies": dict.fromkeys(ANOMALIES, 0),
    "trouble": None,
}
BAR = {
    "row": 2,
    "scene": "kill",
    "what": "outage",
    "statistic": "median",
    "value": 1.4181,
    "limit": 1.5,
    "counts": False,
    "trials": 3,
    "passed": True,
}


def test_the_page_tells_what_was_measured() -> None:
    lost = ROW | {"scene": "partition", "anomalies": ROW["anomalies"] | {"lost": 7}}  # type: ignore[operator]
    failed = ROW | {"client": "coredis", "outage": None, "trouble": "did not end"}
    worse = BAR | {"value": 1.6, "scene": "hang", "passed": False}
    text = page(
        {
            "when": "2026-11-25",
            "python": "3.11",
            "system": "Linux",
            "rows": [ROW, failed, lost],
            "bars": [BAR, worse],
            "skipped": {"vanish": "needs root"},
        }
    )
    for line in (
        "| kill | ours | 3 | 1418 | - | 2 | 1500 | 0 | 0 | 1 | 0 | 0 |",
        "| kill | coredis | 3 | did not end |",
        "| 2 | outage (median of 3) | 1600 ms **missed** | 1500 ms | hang |",
        "| partition | ours | 7 | 0 | 0 | 0 | 0 | 0 |",
        "- vanish: needs root",
    ):
        assert line in text
    assert "1418 ms | 1500 ms" not in text, "only the value nearest to the limit is shown"


def test_the_page_and_its_plots_are_there() -> None:
    assert "**missed**" not in PAGE.read_text()
    assert all((PLOTS / f"{name}.svg").exists() for name in SHOWN)
