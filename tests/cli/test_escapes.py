"""
What servers hold never reaches a terminal as it is, and nothing of it is lost.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sahool_cache.cli import escapes
from sahool_cache.cli.answer import Answer, conclude


@given(st.binary())
def test_the_escaped_form_is_lossless_and_printable(raw: bytes) -> None:
    text = escapes.escaped(raw)
    assert text.isprintable()
    assert escapes.unescaped(text) == raw


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"user:1", "user:1"),
        ("مفتاح".encode(), "مفتاح"),
        (b"a\\n", r"a\\n"),
        (b"a\nb\tc\r", r"a\nb\tc\r"),
        (b"\x1b[31m\x00\x7f", r"\x1b[31m\x00\x7f"),
        (b"\xff\xfe", r"\xff\xfe"),
        ("\u202e\x9b".encode(), r"\xe2\x80\xae\xc2\x9b"),
    ],
)
def test_what_does_not_print_is_escaped(raw: bytes, text: str) -> None:
    assert escapes.escaped(raw) == text


@pytest.mark.parametrize("text", ["\\", "\\q", "\\x1", "\\xzz"])
def test_an_escape_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no escape"):
        escapes.unescaped(text)


def test_json_holds_what_does_not_print_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    text = '\x1b[31m "q" \x7f \x9b \u202e \U000e0001 é'

    async def work() -> Answer:
        return Answer(document={"key": text}, told="")

    assert conclude(work(), as_json=True) == 0
    told = capsys.readouterr().out
    assert json.loads(told) == {"key": text}
    assert told.replace("\n", "").isprintable()
    assert "é" in told


def test_an_error_of_a_server_prints_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    async def work() -> Answer:
        raise TimeoutError("a\x1b[2J\nb")

    assert conclude(work(), as_json=False) == 2
    assert capsys.readouterr().err == "sahool-cache: a\\x1b[2J\\nb\n"
