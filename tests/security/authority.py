"""
Certificates as a private authority makes them, by the `openssl` command, in files that change.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.security.servers import program

__all__ = ["Authority", "Shown", "put"]

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """
    An authority with a directory of its own; `ca` is what trusts it.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.ca = directory / "ca.pem"
        self._key = directory / "ca.key"
        self._directory = directory
        subject = ("-subj", f"/CN={directory.name}", "-days", "2")
        self._openssl("req", "-x509", *_KEY, *subject, "-keyout", self._key, "-out", self.ca)

    def issue(self, name: str) -> tuple[Path, Path]:
        """
        A certificate for 127.0.0.1 under that name, and its key.
        """
        certificate, key = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        request, details = self._directory / f"{name}.csr", self._directory / f"{name}.ext"
        details.write_text("subjectAltName=IP:127.0.0.1\n")
        self._openssl("req", "-new", *_KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        signed = ("-req", "-in", request, "-CA", self.ca, "-CAkey", self._key, "-CAcreateserial")
        self._openssl("x509", *signed, "-days", "2", "-extfile", details, "-out", certificate)
        return certificate, key

    def _openssl(self, *arguments: str | Path) -> None:
        command = [program("openssl"), *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True)


class Shown:
    """
    What one side trusts and shows, in files that are replaced.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.ca = directory / "ca.pem"
        self.certificate = directory / "cert.pem"
        self.key = directory / "key.pem"

    def trust(self, *authorities: Authority) -> None:
        put(self.ca, "".join(each.ca.read_text() for each in authorities))

    def show(self, issued: tuple[Path, Path]) -> None:
        put(self.certificate, issued[0].read_text())
        put(self.key, issued[1].read_text())


def put(file: Path, text: str) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_text(text)
    os.replace(fresh, file)  # noqa: PTH105  # the name stays, the file is another
