"""Read certificates and private keys from files in PEM format, and refuse keys that everybody can read."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Callable
from pathlib import Path

from airflow_provider_sync.exceptions import ConfigurationError


def load_certificate(context: ssl.SSLContext, certificate: str, key: str | None, *, section: str = "") -> None:
    """Load the certificate that one side of a TLS connection presents.

    :param key: path of its private key; ``None`` if it is in the file of the certificate
    :param section: of the configuration that has the options ``certificate`` and ``key``, with a dot, for messages
    :raises ConfigurationError: when a file cannot be read, or they do not fit each other, or others can read the key
    """
    key_path = key or certificate
    check_readable(f"{section}certificate", certificate)
    check_readable(f"{section}key", key_path)
    _check_private(f"{section}key", key_path)
    try:
        context.load_cert_chain(certificate, key, password=_no_password(f"{section}key", key_path))
    except ssl.SSLError as error:
        files = certificate if key is None else f"{certificate} and {key}"
        raise ConfigurationError(
            f"{section}certificate: {files}: {words(error)}. Give a certificate and its private key, in PEM format."
        ) from error


def check_readable(option: str, path: str) -> None:
    """Refuse a file that cannot be read, and content in place of a path, which may be a private key and is not repeated.

    :raises ConfigurationError: with the option, and the reason
    """
    if "-----BEGIN " in path:
        raise ConfigurationError(f"{option}: the content of a PEM file is given. Save it to a file, and give the path.")
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise ConfigurationError(f"{option}: cannot read {path}: {error.strerror}.") from error


def words(error: ssl.SSLError) -> str:
    """Return OpenSSL's reason for an error about a file, in words."""
    return (error.reason or "no such content").lower().replace("_", " ")


def _check_private(option: str, path: str) -> None:
    mode = Path(path).stat().st_mode
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise ConfigurationError(
            f"{option}: every user of this machine can read or change {path}, which holds a private key. Protect it:"
            f" chmod o= {path}"
        )


def _no_password(option: str, path: str) -> Callable[[], str]:
    def ask() -> str:
        # OpenSSL would ask for the passphrase on the terminal.
        raise ConfigurationError(f"{option}: the key in {path} has a password. Give one without.")

    return ask
