"""
Where a server is: host and port.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Address"]


class Address(NamedTuple):
    """
    A server's host and port; equals the plain tuple ``(host, port)``.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str, default_port: int | None = None) -> Address:
        """
        Reads ``host:port``, ``[v6]:port`` or, where a default port is given, a bare host.

        Raises `ValueError` that quotes the text.
        """
        text = text.strip()
        bracketed, closed, rest = text[1:].partition("]") if text.startswith("[") else ("", "", "")
        if closed:
            host, port = bracketed, rest.removeprefix(":")
        elif text.count(":") > 1:  # a bare IPv6 address
            host, port = text, ""
        else:
            host, _, port = text.partition(":")
        if not host:
            raise ValueError(f"{text!r} has no host; write host:port")
        if not port:
            if default_port is None:
                raise ValueError(f"{text!r} has no port; write host:port")
            return cls(host, default_port)
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError(f"{text!r} has no port between 1 and 65535")
        return cls(host, int(port))

    @classmethod
    def told(cls, host: str, port: str) -> Address | None:
        """
        The address in two words of a server; None where they are none that could be dialled.
        """
        right = host and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65536
        return cls(host, int(port)) if right else None
