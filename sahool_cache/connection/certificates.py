"""
The TLS context of new connections: made anew when a certificate's file has changed.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

from sahool_cache.settings import TLSChoice, TLSSettings, file_signature

__all__ = ["Certificates"]


class Certificates:
    """
    What TLS trusts and shows now. One context serves all connections until a file changes:
    building one may cost 19 ms of a blocked event loop, looking at three files 10 us.

    `on_bad(why)` hears once of files that cannot be used; what was read before goes on then.
    """

    def __init__(self, tls: TLSChoice, on_bad: Callable[[str], None]) -> None:
        self._tls = tls if isinstance(tls, TLSSettings) else TLSSettings()
        self._on_bad = on_bad
        self._signature = self._look()  # first: what is written from now on is another one
        self._context = self._tls.context()

    def context(self) -> ssl.SSLContext:
        """
        The context for a connection that is made now.
        """
        signature = self._look()
        if signature != self._signature:
            self._signature = signature
            try:
                self._context = self._tls.context()
            except ValueError as error:  # half of them is written, perhaps: the rest is a change
                self._on_bad(str(error))
        return self._context

    def _look(self) -> tuple[object, ...]:
        tls = self._tls
        return tuple(map(file_signature, (tls.ca_file, tls.cert_file, tls.key_file)))
