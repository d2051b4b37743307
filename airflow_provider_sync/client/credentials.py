"""The credentials that a client shows to the server: token, login and password, certificate."""

from __future__ import annotations

import ssl
import sys

from requests.auth import AuthBase, HTTPBasicAuth

from airflow_provider_sync.certificates import load_certificate
from airflow_provider_sync.client.transport import BearerAuth, check_header
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.redaction import remember_secrets


def credentials(token: str | None, login: str | None, password: str | None) -> AuthBase | None:
    """Return what adds a token, or login and password, to requests; ``None`` if there is neither.

    :raises ConfigurationError: when they do not fit together, or cannot be sent
    """
    if token and login:
        raise ConfigurationError("Both a token and a login are given. Give a token, or login and password.")
    remember_secrets([token, password])
    if password and not login:
        raise ConfigurationError("A password is given without a login. Give both, or a token.")
    if login:
        return HTTPBasicAuth(login.encode(), (password or "").encode())
    if token:
        check_header("The token", token, widest=chr(sys.maxunicode))
        return BearerAuth(token)
    return None


def checked_certificate(certificate: str | None, key: str | None) -> tuple[str, str] | None:
    """Return the paths of a client's certificate and its private key; ``None`` if there is none.

    :param key: ``None`` if it is in the file of the certificate
    :raises ConfigurationError: when they cannot be used, or others can read the key
    """
    if certificate is None:
        if key is not None:
            raise ConfigurationError("A key is given without a certificate. Give both.")
        return None
    # What is wrong with them would otherwise look like a broken connection.
    load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key)
    return certificate, key or certificate
