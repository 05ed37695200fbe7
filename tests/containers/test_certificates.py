"""
What `compose/make-certificates.sh` makes; no Docker is needed for it.
"""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.containers.compose_group import COMPOSE, SERVICES

SCRIPT = COMPOSE / "make-certificates.sh"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        if os.environ.get("SAHOOL_REQUIRE_REDIS") == "1":
            pytest.fail("openssl is not installed", pytrace=False)
        pytest.skip("openssl is not installed")
    directory = tmp_path_factory.mktemp("certificates")
    make(directory)
    return directory


def make(directory: Path, **variables: str) -> None:
    given = {"REDIS_CERTIFICATES": str(directory), "REDIS_SECRETS_GROUP": str(os.getgid())}
    subprocess.run([SCRIPT], env=os.environ | given | variables, check=True, capture_output=True)


def handshake(directory: Path, service: str, host: str) -> None:
    """
    Both sides of a connection to that host, in memory; each verifies the other, by RFC 5280.
    """
    client = ssl.create_default_context(cafile=directory / "ca.crt")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=directory / "ca.crt")
    server.verify_mode = ssl.CERT_REQUIRED
    for context in (client, server):
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    client.load_cert_chain(directory / "client/client.crt", directory / "client/client.key")
    server.load_cert_chain(directory / service / "server.crt", directory / service / "server.key")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=host)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [ours, theirs]
    for _ in range(10):
        for side in tuple(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
    assert not waiting


@pytest.mark.parametrize("number", range(6))
def test_a_certificate_names_every_way_to_its_server(directory: Path, number: int) -> None:
    service = SERVICES[number]
    address = f"172.16.79.{(11, 12, 13, 21, 22, 23)[number]}"
    for host in (service, f"sahool-{service}", "localhost", "127.0.0.1", "::1", address):
        handshake(directory, service, host)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"is not valid for|doesn't match"):
        handshake(directory, service, SERVICES[number - 1])


def test_keys_are_not_open_to_others_and_the_authority_s_stays_out_of_the_containers(
    directory: Path,
) -> None:
    modes = {str(path.relative_to(directory)): path.stat().st_mode for path in directory.rglob("*")}
    for service in SERVICES:
        assert modes[f"{service}/server.key"] & 0o777 == 0o640
        assert modes[service] & 0o777 == 0o750
        assert sorted(path.name for path in (directory / service).iterdir()) == [
            "ca.crt",
            "server.crt",
            "server.key",
        ]
    assert modes["ca.key"] & 0o777 == modes["client/client.key"] & 0o777 == 0o600


def test_a_second_run_renews_the_certificates_under_the_same_authority(directory: Path) -> None:
    def read(name: str) -> bytes:
        return (directory / name).read_bytes()

    names = ("ca.crt", "ca.key", "redis-master/server.crt", "client/client.key")
    before = {name: read(name) for name in names}
    make(directory, CERTIFICATE_NAMES="DNS:redis.example.org,IP:10.0.0.5")
    kept = {name for name in names if read(name) == before[name]}
    assert kept == {"ca.crt", "ca.key"}
    for host in ("redis.example.org", "10.0.0.5", "127.0.0.1"):
        handshake(directory, "redis-master", host)
    assert not list(directory.glob("new.*"))
