from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sahool_cache.cli.app import main
from sahool_cache.incident import Incident, Step, Unknown, Waited

RECORD = Incident(
    master_name="m",
    began=datetime(2026, 11, 25, 3, 0, tzinfo=UTC),
    old="a:1",
    new="b:2",
    epoch=7,
    fenced=1.1,
    promoted=1.5,
    first_write=1.502,
    outage=1.4,
    waited=(Waited(command="SET", calls=3, longest=1.4),),
    unknown_calls=3,
    unknown=(
        Unknown(at=0.1, command="INCR", node="a:1"),
        Unknown(at=0.2, command="INCR", node="a:1"),
    ),
    lanes=(Step(at=-0.4, text="LaneTiming node=a:1"),),
    timeline=(Step(at=0.0, text="NodeDown node=a:1 why=closed"),),
)


def log_file(folder: Path, *records: Incident) -> str:
    lines = [f"2026-11-25 03:00:02 WARNING [x] {record.line} pod=1" for record in records]
    path = folder / "service.log"
    path.write_text("\n".join(["something else", *lines, "and so on"]))
    return str(path)


def test_a_failover_is_told_step_by_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", log_file(tmp_path, RECORD)]) == 0
    told = capsys.readouterr().out
    for words in (
        "2026-11-25 03:00:00 UTC",
        "a:1 -> b:2 (epoch 7), 1.400 s without a master",
        "+1.100 s  commands to the old master were held",
        "+1.502 s  the new master acknowledged",
        "waited: 3 x SET, 1.400 s at most",
        "outcome unknown: 2 x INCR at a:1",
        "outcome unknown: 1 more",
        "-0.400 s  LaneTiming",
        "+0.000 s  NodeDown node=a:1",
    ):
        assert words in told
    assert "chose" not in told, "what did not happen is not told"
    assert told.index("+1.100") < told.index("+1.500") < told.index("+1.502")


def test_the_records_come_as_one_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = log_file(tmp_path, RECORD, RECORD)
    assert main(["explain", "--json", path]) == 0
    assert json.loads(capsys.readouterr().out) == [RECORD.as_dict()] * 2
    assert main(["explain", "--json", "--last", path]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1


def test_a_log_is_read_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(RECORD.line))
    assert main(["explain"]) == 0
    assert "a:1 -> b:2" in capsys.readouterr().out


def test_a_log_without_failovers_says_so_and_none_at_all_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", log_file(tmp_path)]) == 0
    assert "no failover" in capsys.readouterr().out
    assert main(["explain", str(tmp_path / "none.log")]) == 64
    assert "cannot be read" in capsys.readouterr().err
