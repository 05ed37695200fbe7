from __future__ import annotations

import pickle
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sahool_cache.settings import RedisSettings, TLSSettings, ssl_context
from tests.unit.settings_place import SECRET, WHERE, Place, empty_place, refused


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Place:
    return empty_place(monkeypatch, tmp_path)


@pytest.mark.parametrize(
    ("url", "variables", "tls", "sentinel_tls"),
    [
        ("redis+sentinel://h/m", {}, None, None),
        ("redis+sentinel://h/m", {"REDIS_TLS": "true"}, True, None),
        ("redis+sentinel://h/m?tls=true", {}, True, None),
        ("rediss+sentinel://h/m", {}, True, None),
        ("rediss+sentinel://h/m", {"REDIS_TLS": "false"}, True, None),
        ("rediss+sentinel://h/m", {"REDIS_SENTINEL_TLS": "false"}, True, None),
        ("rediss+sentinel://h/m?sentinel_tls=false", {}, True, False),
        ("redis+sentinel://h/m?tls_verify=false", {}, TLSSettings(verify=False), None),
        ("redis+sentinel://h/m?tls=true&tls_verify=0", {}, TLSSettings(verify=False), None),
        ("redis+sentinel://h/m?tls=false&tls_verify=0", {}, False, None),
        ("redis+sentinel://h/m?sentinel_tls_verify=0", {}, None, TLSSettings(verify=False)),
        ("rediss+sentinel://h/m", {"REDIS_TLS_VERIFY": "0"}, TLSSettings(verify=False), None),
        (
            "rediss+sentinel://h/m?tls_min_version=TLSv1.3",
            {"REDIS_TLS_VERIFY": "0", "REDIS_TLS_MIN_VERSION": "TLSv1.2"},
            TLSSettings(verify=False, min_version="TLSv1.3"),
            None,
        ),
    ],
)
def test_tls_from_url_and_environment(
    place: Place, url: str, variables: dict[str, str], tls: object, sentinel_tls: object
) -> None:
    place.environment(**variables)
    made = RedisSettings.from_url(url)
    assert (made.tls, made.sentinel_tls) == (tls, sentinel_tls)


def test_tls_as_a_keyword_takes_details_from_the_environment_or_replaces_them(place: Place) -> None:
    place.environment(REDIS_TLS_VERIFY="false")
    assert RedisSettings(**WHERE, tls=True).tls == TLSSettings(verify=False)
    assert RedisSettings(**WHERE, tls=TLSSettings()).tls == TLSSettings()
    assert RedisSettings(**WHERE, tls=False).tls is False
    assert RedisSettings(**WHERE, tls=None).tls is None


def test_a_ready_context_is_refused_with_the_way_out() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    message = refused(lambda: RedisSettings(**WHERE, tls=context))
    assert "tls" in message
    assert "TLSSettings" in message


@pytest.mark.parametrize("plain", [None, False])
def test_plain_needs_no_context(plain: bool | None) -> None:
    assert ssl_context(plain) is None


def test_a_context_verifies_unless_told_otherwise() -> None:
    context = ssl_context(TLSSettings())
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    strict = ssl_context(TLSSettings(min_version="TLSv1.3", check_hostname=False))
    assert strict is not None
    assert (strict.verify_mode, strict.check_hostname) == (ssl.CERT_REQUIRED, False)
    assert strict.minimum_version == ssl.TLSVersion.TLSv1_3
    blind = ssl_context(TLSSettings(verify=False))
    assert blind is not None
    assert (blind.verify_mode, blind.check_hostname) == (ssl.CERT_NONE, False)


class Certificates:
    """
    Made by openssl: a self-signed certificate for localhost, and its key, plain and encrypted.
    """

    def __init__(self, directory: Path, openssl: str) -> None:
        self.cert, self.key = directory / "cert.pem", directory / "key.pem"
        self.other_key, self.locked_key = directory / "other.pem", directory / "locked.pem"
        self.pem, self.junk = directory / "both.pem", directory / "junk.pem"
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        for key, cert in ((self.key, self.cert), (self.other_key, directory / "unused.pem")):
            name = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
            self._run(openssl, "req", "-x509", *curve, *name, "-keyout", key, "-out", cert)
        lock = ("-aes256", "-passout", f"pass:{SECRET}")
        self._run(openssl, "ec", *lock, "-in", self.key, "-out", self.locked_key)
        self.pem.write_text(self.cert.read_text() + self.key.read_text(), encoding="utf-8")
        self.junk.write_text("junk", encoding="utf-8")

    @staticmethod
    def _run(*command: str | Path) -> None:
        subprocess.run(command, check=True, capture_output=True, timeout=30)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make certificates with")
    return Certificates(tmp_path_factory.mktemp("certificates"), openssl)


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> dict[str, Any]:
    """
    Returns the certificate that the server is shown, after a handshake in memory.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=name)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [near, far]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
        if not waiting:
            return dict(far.getpeercert() or {})
    raise AssertionError("the handshake does not end")


def server_context(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.cert, certificates.key)
    context.load_verify_locations(certificates.cert)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_a_context_trusts_and_shows_what_it_is_told(certificates: Certificates) -> None:
    shown: list[dict[str, Any]] = [
        {"cert_file": certificates.cert, "key_file": certificates.key},
        {"cert_file": str(certificates.pem)},
        {
            "cert_file": certificates.cert,
            "key_file": certificates.locked_key,
            "key_password": SECRET,
        },
    ]
    trusted: list[dict[str, Any]] = [
        {"ca_file": certificates.cert},
        {"ca_data": certificates.cert.read_text(encoding="utf-8")},
    ]
    for trust in trusted:
        for show in shown:
            made = TLSSettings(**trust, **show)
            again = pickle.loads(pickle.dumps(made))  # noqa: S301
            assert again == made
            client = ssl_context(again)
            assert client is not None
            peer = shake_hands(client, server_context(certificates), "localhost")
            assert peer["subjectAltName"] == (("DNS", "localhost"),)


def test_a_context_refuses_a_stranger_and_a_wrong_name(certificates: Certificates) -> None:
    show: dict[str, Any] = {"cert_file": certificates.pem}
    strangers: list[tuple[dict[str, Any], str]] = [
        ({}, "localhost"),
        ({"ca_file": certificates.cert}, "other.example"),
    ]
    for details, name in strangers:
        client = ssl_context(TLSSettings(**show, **details))
        assert client is not None
        with pytest.raises(ssl.SSLCertVerificationError):
            shake_hands(client, server_context(certificates), name)
    for lenient, name in (
        (TLSSettings(**show, verify=False), "other.example"),
        (TLSSettings(**show, ca_file=certificates.cert, check_hostname=False), "other.example"),
    ):
        client = ssl_context(lenient)
        assert client is not None
        assert shake_hands(client, server_context(certificates), name)


WRONG_TLS: list[tuple[str, dict[str, Any]]] = [
    ("ca_file", {"ca_file": "missing.pem"}),
    ("ca_file", {"ca_file": "."}),
    ("ca_file", {"ca_file": "~no-such-user/ca.pem"}),
    ("ca_file", {"ca_file": "x" * 5000}),
    ("ca_file", {"ca_file": "nul\0"}),
    ("ca_file", {"ca_file": "{junk}"}),
    ("ca_data", {"ca_data": "junk"}),
    ("ca_data", {"ca_data": ""}),
    ("ca_data", {"ca_data": "ä"}),
    ("cert_file", {"cert_file": "missing.pem"}),
    ("cert_file", {"cert_file": "missing.pem", "key_file": "{key}"}),
    ("key_file", {"cert_file": "{cert}", "key_file": "missing.pem"}),
    ("key_file", {"key_file": "{key}"}),
    ("key_file", {"cert_file": "{cert}"}),
    ("key_file", {"cert_file": "{junk}", "key_file": "{key}"}),
    ("key_file", {"cert_file": "{cert}", "key_file": "{other_key}"}),
    ("key_file", {"cert_file": "{cert}", "key_file": "{locked_key}"}),
    ("key_file", {"cert_file": "{cert}", "key_file": "{locked_key}", "key_password": "wrong"}),
    ("key_file", {"cert_file": "{cert}", "key_file": "{locked_key}", "key_password": "x" * 5000}),
    ("min_version", {"min_version": "TLSv1.1"}),
    ("verify", {"verify": "perhaps"}),
    ("ca_path", {"ca_path": "/etc/ssl"}),
]


@pytest.mark.parametrize("group", ["tls", "sentinel_tls"])
@pytest.mark.parametrize(("field", "details"), WRONG_TLS)
def test_a_wrong_detail_of_tls_is_named_when_it_is_given(
    certificates: Certificates, field: str, details: dict[str, Any], group: str
) -> None:
    filled = {name: value.format(**vars(certificates)) for name, value in details.items()}
    with pytest.raises(ValidationError) as alone:
        TLSSettings(**filled)
    assert {each["loc"] for each in alone.value.errors()} == {(field,)}
    with pytest.raises(ValidationError) as within:
        RedisSettings(**WHERE, **{group: filled})
    assert {each["loc"] for each in within.value.errors()} == {(group, field)}


@pytest.mark.parametrize("wrong", [5, b"ca.pem"])
def test_what_is_no_path_is_named(wrong: Any) -> None:
    for make in (
        lambda: TLSSettings(ca_file=wrong),
        lambda: RedisSettings(**WHERE, tls={"ca_file": wrong}),
        lambda: RedisSettings(**WHERE, password_file=wrong),
    ):
        assert "not a valid path" in refused(make)


def test_a_file_that_is_gone_since_is_named(certificates: Certificates, place: Place) -> None:
    mine = place.directory / "ca.pem"
    shutil.copy(certificates.cert, mine)
    made = TLSSettings(ca_file=mine)
    mine.unlink()
    assert "ca_file" in refused(lambda: ssl_context(made))
