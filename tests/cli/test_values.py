from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from sahool_cache.embedded import EmbeddedSentinel
from tests.cli.conftest import Cli
from tests.cli.terminal import Terminal

COMMANDS: tuple[tuple[str | bytes, ...], ...] = (
    ("SET", "text", "line\nanother\t\x1b[2J", "EX", "1000"),
    ("SET", b"odd\x00\xff", b"\xff\\"),
    ("HSET", "hash", "field", "value"),
    ("RPUSH", "list", "c", "a", "b"),
    ("SADD", "set", "member"),
    ("ZADD", "zset", "1.5", "low", "+inf", "high"),
    ("XADD", "stream", "1-1", "field", "value"),
)


@pytest.fixture(scope="module")
def group(calm_group: EmbeddedSentinel) -> EmbeddedSentinel:
    async def fill() -> None:
        for command in COMMANDS:
            await calm_group.command(calm_group.master, *command)
        await calm_group.wait_in_sync()

    asyncio.run(fill())
    return calm_group


def ask(group: EmbeddedSentinel, *command: str) -> Any:
    return asyncio.run(group.command(group.master, *command))


@pytest.mark.parametrize(
    ("arguments", "told", "aside"),
    [
        (["text"], r"line\nanother\t\x1b[2J", "string, 17 bytes, expires in 16m"),
        (["-e", r"odd\x00\xff"], r"\xff" + "\\\\", "string, 2 bytes, does not expire"),
        (["hash"], "field=value", "hash, 1 element, does not expire"),
        (["list"], "c\na\nb", "list, 3 elements, does not expire"),
        (["list", "--limit", "2"], "c\na", "list, 3 elements, does not expire, only the first"),
        (["set"], "member", "set, 1 element, does not expire"),
        (["zset"], "1.5 low\ninf high", "zset, 2 elements, does not expire"),
        (["stream"], "1-1 field=value", "stream, 1 element, does not expire"),
        (["none"], "(nil)", "no such key"),
        (["hash", "--replica"], "field=value", "hash, 1 element, does not expire"),
    ],
)
def test_every_type_is_shown(
    group: EmbeddedSentinel, here: Cli, arguments: list[str], told: str, aside: str
) -> None:
    done = here("get", *arguments, settings=group.settings)
    assert (done.returncode, done.stdout) == (0, told + "\n")
    assert done.stderr.startswith(aside)


def test_get_tells_the_same_as_json(group: EmbeddedSentinel, here: Cli) -> None:
    def get(*arguments: str) -> Any:
        return json.loads(here("get", *arguments, "--json", settings=group.settings).stdout)

    assert get("zset") == {
        "key": "zset",
        "type": "zset",
        "ttl": None,
        "length": 2,
        "value": [{"member": "low", "score": 1.5}, {"member": "high", "score": "inf"}],
        "complete": True,
    }
    odd = get("-e", r"odd\x00\xff")
    assert (odd["key"], odd["value"]) == ({"base64": "b2RkAP8="}, {"base64": "/1w="})
    assert get("stream")["value"] == [
        {"id": "1-1", "fields": [{"field": "field", "value": "value"}]}
    ]
    nothing = get("none")
    assert (nothing["type"], nothing["value"]) == ("none", None)
    text = get("text")
    assert text["value"] == "line\nanother\t\x1b[2J"
    assert 0 < text["ttl"] <= 1000


def test_set_sets_what_is_new_and_nothing_else_unasked(group: EmbeddedSentinel, here: Cli) -> None:
    def set_(*arguments: str, stdin: str | None = None) -> tuple[int, str]:
        done = here("set", *arguments, settings=group.settings, stdin=stdin)
        return done.returncode, done.stdout

    assert set_("new", "one", "--ttl", "60.5") == (0, "OK\n")
    assert 0 < ask(group, "PTTL", "new") <= 60_500
    assert set_("new", "two") == (64, ""), "nobody is there to be asked"
    assert ask(group, "GET", "new") == "one"
    assert set_("new", "two", "--nx") == (0, "(nil)\n")
    assert set_("absent", "two", "--xx") == (0, "(nil)\n")
    assert ask(group, "GET", "absent") is None
    assert set_("new", "two", "--xx") == (64, "")
    assert set_("new", "-", "--xx", "--yes", stdin="from\nstdin\n") == (0, "OK\n")
    assert ask(group, "GET", "new") == "from\nstdin\n"
    assert set_("-e", r"new\x00", r"\x01\\", "-y") == (0, "OK\n")
    assert ask(group, "GET", "new\0") == "\x01\\"
    done = here("set", "fresh", "1", "--json", settings=group.settings)
    assert json.loads(done.stdout) == {"key": "fresh", "set": True}


def test_set_asks_at_a_terminal_and_does_as_it_is_told(
    group: EmbeddedSentinel, tmp_path: Path
) -> None:
    ask(group, "RPUSH", "asked", "element")
    for answer, status, kind in (("n\n", 130, "list"), (None, 130, "list"), ("y\n", 0, "string")):
        with Terminal("set", "asked", "v", cwd=tmp_path, settings=group.settings) as tty:
            tty.wait_for("asked holds a list. Overwrite it? [y/N]")
            if answer is None:
                tty.interrupt()
            else:
                tty.type(answer)
            assert tty.ended() == status
            assert "Traceback" not in tty.output
        assert ask(group, "TYPE", "asked") == kind


def test_a_wrong_command_line_changes_nothing(group: EmbeddedSentinel, here: Cli) -> None:
    for arguments, said in (
        (("set", "k", "v", "--nx", "--xx"), "exclude one another"),
        (("set", "k", "v", "--ttl", "0"), "--ttl"),
        (("set", "k"), "value"),
        (("set", "-e", "\\q", "v"), "no escape"),
        (("get", "k", "--limit", "0"), "--limit"),
    ):
        done = here(*arguments, settings=group.settings)
        assert (done.returncode, done.stdout) == (64, ""), arguments
        assert said.lower() in done.stderr.lower()
    assert ask(group, "EXISTS", "k") == 0
