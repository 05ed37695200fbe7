"""
TLS: which certificates to trust and to show, and the `ssl.SSLContext` made of them.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from sahool_cache.settings.fields import Secret, without_input
from sahool_cache.settings.files import is_there
from sahool_cache.settings.switch import read_switch

__all__ = ["TLSChoice", "TLSSettings", "read_tls", "ssl_context"]


class TLSSettings(BaseModel):
    """
    What TLS trusts and shows; files are read once when the settings are made, to check them.

    Frozen, and pickles. Raises `ValidationError`, which is a `ValueError`, that names the field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    ca_file: Path | None = Field(
        default=None, description="PEM file of the authorities to trust, instead of the system's."
    )
    ca_data: str | None = Field(
        default=None, repr=False, description="The same as `ca_file`, as PEM text."
    )
    cert_file: Path | None = Field(
        default=None, description="PEM file of the certificate that the client shows."
    )
    key_password: Secret = Field(
        default=None, description="Password of an encrypted private key in `key_file`."
    )
    key_file: Path | None = Field(
        default=None,
        validate_default=True,  # checks `cert_file` together with it
        description="PEM file of the private key, if it is not in `cert_file`.",
    )
    check_hostname: bool = Field(
        default=True, description="Whether the server's certificate must name the host dialled."
    )
    verify: bool = Field(
        default=True,
        description="Whether the server's certificate is verified; false leaves out the host, too.",
    )
    min_version: Literal["TLSv1.2", "TLSv1.3"] = Field(
        default="TLSv1.2", description="The oldest TLS version that is spoken."
    )

    def __init__(self, **details: Any) -> None:
        # typed thus, since a path and a password may be given as text
        super().__init__(**details)

    def __setattr__(self, name: str, _value: object) -> None:
        # pydantic's own refusal quotes the value, which may be a password.
        raise ValueError(f"settings are frozen: use model_copy(update={{{name!r}: ...}})")

    @model_validator(mode="wrap")
    @classmethod
    def _hide_input(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as error:
            raise without_input(error) from None

    @field_validator("ca_file", "cert_file", "key_file")
    @classmethod
    def _is_file(cls, path: Path | None) -> Path | None:
        return is_there(path)

    @field_validator("ca_file")
    @classmethod
    def _holds_authorities(cls, path: Path | None) -> Path | None:
        _trust(_bare_context(), path, None)
        return path

    @field_validator("ca_data")
    @classmethod
    def _is_authorities(cls, pem: str | None) -> str | None:
        _trust(_bare_context(), None, pem)
        return pem

    @field_validator("key_file")
    @classmethod
    def _fits_certificate(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if {"cert_file", "key_password"} <= info.data.keys():
            _show(_bare_context(), info.data["cert_file"], key, info.data["key_password"])
        return key

    def context(self) -> ssl.SSLContext:
        """
        Returns a new client context; loading the system's authorities takes some milliseconds.
        """
        context = _bare_context()
        context.minimum_version = {
            "TLSv1.2": ssl.TLSVersion.TLSv1_2,
            "TLSv1.3": ssl.TLSVersion.TLSv1_3,
        }[self.min_version]
        context.check_hostname = self.check_hostname and self.verify
        if not self.verify:
            context.verify_mode = ssl.CERT_NONE
        elif self.ca_file is None and self.ca_data is None:
            context.load_default_certs()
        _trust(context, self.ca_file, self.ca_data)
        _show(context, self.cert_file, self.key_file, self.key_password)
        return context


TLSChoice = bool | TLSSettings | None


def ssl_context(tls: TLSChoice) -> ssl.SSLContext | None:
    """
    Returns a new context for these settings, or None for plain TCP: make one and keep it.

    Raises `ValueError` that names the field if a file is gone or spoilt since it was checked.
    """
    if tls is None or tls is False:
        return None
    return (TLSSettings() if tls is True else tls).context()


def read_tls(value: object) -> object:
    """
    Returns a bool, `TLSSettings` or None for what was written; raises `ValueError`.
    """
    if isinstance(value, ssl.SSLContext):
        raise ValueError("an SSLContext does not pickle; write TLSSettings(ca_file=...) instead")  # noqa: TRY004
    if isinstance(value, dict):
        return TLSSettings(**value) if value else True
    if value is None or isinstance(value, TLSSettings):
        return value
    return read_switch(value, "TLSSettings")


def _bare_context() -> ssl.SSLContext:
    # ssl.create_default_context is stricter from Python 3.13 on, and refuses many private CAs
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _trust(context: ssl.SSLContext, ca_file: Path | None, ca_data: str | None) -> None:
    name = "ca_file"
    try:
        if ca_file is not None:
            context.load_verify_locations(cafile=ca_file)
        name = "ca_data"
        if ca_data is not None:
            context.load_verify_locations(cadata=ca_data)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{name} holds no usable certificates: {_reason(error)}") from None


def _show(
    context: ssl.SSLContext, cert: Path | None, key: Path | None, password: SecretStr | None
) -> None:
    if cert is None:
        if key is not None:
            raise ValueError("key_file needs a cert_file")
        return
    secret = password.get_secret_value() if password else ""
    try:
        # a callable, since OpenSSL would ask at the terminal for a password that is not given
        context.load_cert_chain(cert, key, password=lambda: secret)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"cert_file, key_file and key_password do not fit together: {_reason(error)}"
        ) from None


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "not in PEM format"
    return type(error).__name__
