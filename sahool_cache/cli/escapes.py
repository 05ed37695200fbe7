r"""
What servers hold, made fit for a terminal: keys and values are bytes, and a terminal obeys some of
them.

The escaped form is lossless: what is printable in UTF-8 stands as it is, a backslash is ``\\``, a
newline, return or tab ``\n``, ``\r``, ``\t``, and every other byte ``\x1b``.
"""

from __future__ import annotations

import base64
import re
from typing import Any

__all__ = ["as_data", "escaped", "printable", "unescaped"]

_SHORT = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LONG = {short[1]: plain.encode() for plain, short in _SHORT.items()}
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.?)", re.DOTALL)


def escaped(raw: bytes) -> str:
    """
    Bytes in their escaped form.
    """
    # A byte that is no UTF-8 becomes a lone surrogate, which is not printable.
    return "".join(map(_escape, raw.decode("utf-8", "surrogateescape")))


def _escape(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    if char.isprintable():
        return char
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))


def unescaped(text: str) -> bytes:
    """
    The bytes that an escaped form stands for; raises `ValueError` for an escape that is none.
    """

    def byte(found: re.Match[bytes]) -> bytes:
        name = found[1].decode("latin-1")
        if name[:1] == "x" and len(name) == 3:
            return bytes.fromhex(name[1:])
        if name not in _LONG:
            raise ValueError(f"\\{name} is no escape: write \\\\, \\n, \\r, \\t or \\x1b")
        return _LONG[name]

    return _ESCAPE.sub(byte, text.encode("utf-8", "surrogateescape"))


def as_data(raw: bytes) -> str | dict[str, str]:
    """
    Bytes for JSON: a string if they are UTF-8, else ``{"base64": ...}``.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}


def printable(told: Any) -> str:
    """
    A text of a server's, or an error, on one line.
    """
    return "".join(char if char.isprintable() else _escape(char) for char in str(told))
