"""The settings of TLS: made from the files of the configuration, and made again when these are renewed."""

from __future__ import annotations

import logging
import ssl
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from airflow_provider_sync.config.tls import ServerTLS
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.server.process.certificate_dates import end_of

log = logging.getLogger(__name__)


def tls_files(tls: ServerTLS | None) -> tuple[Path, ...]:
    """Return the files that the settings are made from."""
    if tls is None:
        return ()
    return tuple(Path(path) for path in (tls.certificate, tls.key, tls.client_authorities) if path is not None)


def tls_context(tls: ServerTLS) -> ssl.SSLContext:
    """Read the files, and make the settings of a server from them.

    :raises ConfigurationError: when a file cannot be read or does not fit the others, or others can read the key
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    key = tls.key or tls.certificate
    _check_private(key)
    for name, path in (("certificate", tls.certificate), ("client_authorities", tls.client_authorities)):
        if path is not None:
            _check_readable(name, path)
    try:
        context.load_cert_chain(tls.certificate, tls.key, password=_no_password(key))
    except ssl.SSLError as error:
        where = tls.certificate if key == tls.certificate else f"{tls.certificate} and {key}"
        raise ConfigurationError(
            f"tls: {where}: {_text(error)}. Give a certificate and its private key, in PEM format."
        ) from error
    if tls.client_authorities is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(tls.client_authorities)
        except ssl.SSLError as error:
            raise ConfigurationError(
                f"tls.client_authorities: {tls.client_authorities}: {_text(error)}. Give certificates in PEM format."
            ) from error
    return context


class Certificates:
    """The settings of TLS in use, and when the certificate ends.

    :param tls: the files, which are read now
    :ivar context: for new connections
    :raises ConfigurationError: as :func:`tls_context`
    """

    def __init__(self, tls: ServerTLS) -> None:
        self.context = tls_context(tls)
        self._path = tls.certificate
        self._end = certificate_end(tls)
        self.warn()

    def warn(self) -> None:
        """Log, once, that the certificate has ended: it is shown all the same, and clients refuse it."""
        if self._end is not None and self._end < datetime.now(UTC):
            end, self._end = self._end, None
            log.warning("The certificate in %s ended at %s UTC, and clients refuse it. Renew it.", self._path, f"{end:%F %H:%M}")


def certificate_end(tls: ServerTLS) -> datetime | None:
    """Return when the certificate ends; ``None`` if that cannot be read."""
    try:
        return end_of(Path(tls.certificate).read_text(encoding="latin-1"))
    except (OSError, ValueError):  # OpenSSL has read it, and may know more forms
        return None


def _check_private(path: str) -> None:
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        raise ConfigurationError(f"tls.key: cannot read {path}: {error.strerror}.") from error
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise ConfigurationError(
            f"tls.key: every user of this machine can read or write {path} (mode {stat.S_IMODE(mode):04o}), which holds a private"
            f" key. Take that right away: chmod o= {path}"
        )
    _check_readable("key", path)


def _check_readable(name: str, path: str) -> None:
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise ConfigurationError(f"tls.{name}: cannot read {path}: {error.strerror}.") from error


def _no_password(path: str) -> Callable[[], str]:
    def ask() -> str:
        # OpenSSL would ask for it on the terminal.
        raise ConfigurationError(f"tls.key: the key in {path} has a password. Give one without, which only the server can read.")

    return ask


def _text(error: ssl.SSLError) -> str:
    return (error.reason or "no such content").lower().replace("_", " ")
