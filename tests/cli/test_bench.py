from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from rich.console import Console

from sahool_cache import RedisSettings
from sahool_cache.cli import main
from sahool_cache.cli.bench.command import _answer
from sahool_cache.cli.bench.load import figures, measure
from sahool_cache.embedded import EmbeddedSentinel
from tests.cli.conftest import Cli, environment

SHORT = ("bench", "--seconds", "0.2", "--concurrency", "10")
SETTINGS = RedisSettings.isolated(sentinels=["h:1"], master_name="m")


def left(group: EmbeddedSentinel) -> object:
    return asyncio.run(group.command(group.master, "DBSIZE"))


def test_what_was_measured_is_one_document_and_no_key_is_left(
    calm_group: EmbeddedSentinel, cli: Cli
) -> None:
    done = cli(*SHORT, "--pipeline", "20", "--size", "1000", "--json", settings=calm_group.settings)
    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert (told["concurrency"], told["size"], told["read_from"]) == (10, 1000, "master")
    assert list(told["results"]) == ["set", "get", "pipeline"]
    for each in told["results"].values():
        assert each["operations"] > 10
        assert 0 < each["p50_ms"] <= each["p99_ms"] <= each["p999_ms"] <= each["max_ms"]
        assert each["cpu_us"] > 0
        assert each["errors"] == {}
    assert told["results"]["pipeline"]["operations"] % 20 == 0
    assert left(calm_group) == 0


def test_gets_go_where_they_are_sent(calm_group: EmbeddedSentinel, cli: Cli) -> None:
    def gets() -> int:
        info = asyncio.run(calm_group.command(calm_group.master, "INFO", "commandstats"))
        words = str(info).partition("cmdstat_get:calls=")[2]
        return int(words.partition(",")[0] or 0)

    before = gets()
    done = cli(*SHORT, "--read-from", "replica", settings=calm_group.settings)
    assert done.returncode == 0
    assert "GETs from: replica" in done.stdout
    assert gets() == before
    assert cli(*SHORT, settings=calm_group.settings).returncode == 0
    assert gets() > before


def test_a_group_that_is_down_is_not_measured(cli: Cli) -> None:
    done = cli(*SHORT, "--json", "--url", "redis+sentinel://127.0.0.1:1/m?command_timeout=0.5")
    assert done.returncode == 2
    assert json.loads(done.stdout)["kind"] == "MasterUnknownError"


def test_ctrl_c_leaves_no_key(calm_group: EmbeddedSentinel) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "sahool_cache", "bench", "--seconds", "20"],
        env=environment(calm_group.settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    asyncio.run(until_keys(calm_group))
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, b"")
    assert left(calm_group) == 0


async def until_keys(group: EmbeddedSentinel) -> None:
    async with asyncio.timeout(30):
        while await group.command(group.master, "DBSIZE") == 0:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--read-from", "sun"], "master, replica, replica_preferred, nearest"),
        (["--seconds", "31"], "--seconds"),
        (["--concurrency", "0"], "--concurrency"),
        (["--size", "2000000"], "--size"),
    ],
)
def test_wrong_words_are_usage_errors(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "--url", "redis+sentinel://127.0.0.1:1/m", *options]) == 64
    told = capsys.readouterr()
    assert (told.out, said in " ".join(told.err.split())) == ("", True)


@pytest.mark.asyncio
async def test_failed_calls_are_counted_by_their_kind_and_not_as_operations() -> None:
    async def call(number: int) -> None:
        await asyncio.sleep(0)
        if number % 2:
            raise RedisConnectionError("no")

    found = await measure(call, callers=3, seconds=0.1, progress=lambda _passed: None)
    assert found.operations > 0
    assert found.errors.keys() == {"ConnectionError"}
    answer = _answer({"get": found}, seconds=0.1, callers=3, size=1, settings=SETTINGS)
    assert answer.status == 1


def test_figures_are_of_calls_and_of_the_commands_in_them() -> None:
    took = [number / 1000 for number in range(1, 1001)]
    found = figures(took, lasted=2.0, cpu=0.5, batch=10, errors={})
    assert (found.operations, found.per_second) == (10_000, 5000.0)
    assert (found.p50_ms, found.p99_ms, found.p999_ms) == (501.0, 991.0, 1000.0)
    assert found.max_ms == 1000.0
    assert found.cpu_us == 50.0
    nothing = figures([], lasted=2.0, cpu=0.5, batch=1, errors={"TimeoutError": 3})
    assert (nothing.operations, nothing.p50_ms, nothing.cpu_us) == (0, None, None)
    answer = _answer({"get": nothing}, seconds=1, callers=3, size=1, settings=SETTINGS)
    assert answer.status == 2


def test_the_table_fits_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    much = figures([12.3456] * 1000, lasted=2.0, cpu=9.0, batch=1000, errors={"E": 123_456})
    answer = _answer({"pipeline": much}, seconds=1, callers=50, size=100, settings=SETTINGS)
    Console(width=80).print(answer.told)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:3] == ["pipeline", "1,000,000", "500,000"]
    assert all(len(line.rstrip()) <= 80 for line in lines)
    assert lines[1].split()[-1] == "123,456"
