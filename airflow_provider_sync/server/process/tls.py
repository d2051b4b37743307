"""Make the TLS context from the files of the configuration."""

from __future__ import annotations

import ssl
from datetime import datetime
from pathlib import Path

from airflow_provider_sync.certificates import check_readable, load_certificate, words
from airflow_provider_sync.config.tls import ServerTLS
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.server.process.certificate_dates import end_of


def tls_files(tls: ServerTLS | None) -> tuple[Path, ...]:
    """Return the files from which the TLS context is made."""
    if tls is None:
        return ()
    return tuple(Path(path) for path in (tls.certificate, tls.key, tls.client_authorities) if path is not None)


def tls_context(tls: ServerTLS) -> ssl.SSLContext:
    """Make a server's TLS context from the files.

    :raises ConfigurationError: if a file cannot be read or does not match the others, or other users can read the key
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_certificate(context, tls.certificate, tls.key, section="tls.")
    if tls.client_authorities is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        check_readable("tls.client_authorities", tls.client_authorities)
        try:
            context.load_verify_locations(tls.client_authorities)
        except ssl.SSLError as error:
            raise ConfigurationError(
                f"tls.client_authorities: {tls.client_authorities}: {words(error)}. Give certificates in PEM format."
            ) from error
    return context


def certificate_end(tls: ServerTLS) -> datetime | None:
    """Return the expiry date of the certificate; ``None`` if it cannot be read."""
    try:
        return end_of(Path(tls.certificate).read_text(encoding="latin-1"))
    except (OSError, ValueError):  # OpenSSL has read it, and may know more forms
        return None
