"""A client's connection settings, checked before the first request: URL, credentials, TLS, time limits."""

from __future__ import annotations

import re
import ssl
import sys
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec
from requests import PreparedRequest
from requests.auth import AuthBase, HTTPBasicAuth

from airflow_provider_sync.certificates import load_certificate
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.redaction import remember_secrets


class ConnectionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of all requests of a client.

    :ivar url: base URL, as :func:`base_url` returns it
    :ivar auth: adds the credentials; see :func:`credentials`
    :ivar headers: sent with every request; see :func:`checked_headers`
    :ivar timeout: seconds to wait for a connection, for the headers of an answer, and for each piece of its body
    :ivar max_silence: seconds without progress after which an answer fails
    :ivar verify: whether to check the server's certificate; or the path of a bundle of certificate authorities
    :ivar certificate: paths of the client's certificate and its private key; see :func:`checked_certificate`
    :ivar retries: attempts after a transient failure
    """

    url: str
    auth: AuthBase
    headers: Mapping[str, str]
    timeout: float
    max_silence: float
    verify: bool | str
    certificate: tuple[str, str] | None
    retries: int


class BearerAuth(AuthBase):
    """Sends a bearer token. As an ``auth`` object it also keeps requests from reading credentials in ``.netrc``."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the header."""
        if self._token is not None:
            # As UTF-8 bytes: a header given as text could only have characters of Latin-1.
            request.headers["Authorization"] = f"Bearer {self._token}".encode()  # type: ignore[assignment]  # requests takes bytes, too
        return request


_CREDENTIALS_IN_URL = "The URL of the server holds credentials. Give them as token, or as login and password."


def base_url(url: str) -> str:
    """Check a base URL, and return it without a slash at its end.

    :raises ConfigurationError: for another scheme than http and https, and for credentials, which would end up in logs
    """
    try:
        parts = urlsplit(url.strip())
        parts.port  # noqa: B018  # raises for a port that is not a number
    except ValueError as error:
        # Of a password with a slash, the parser's message quotes the beginning as a port.
        if "@" in url:
            raise ConfigurationError(_CREDENTIALS_IN_URL) from None
        raise ConfigurationError(f"The URL of the server is not valid: {error}.") from error
    is_whole = parts.scheme in ("http", "https") and parts.hostname
    if parts.username is not None or parts.password is not None or ("@" in url and not is_whole):
        raise ConfigurationError(_CREDENTIALS_IN_URL)
    if not is_whole:
        shown = re.split(r"[?#]", url)[0]
        raise ConfigurationError(f"The URL of the server is {shown!r}. Give one such as 'https://host/api/sync'.")
    if parts.query or parts.fragment:
        raise ConfigurationError("The URL of the server has a query or a fragment. Give the part before '?' and '#'.")
    return parts.geturl().rstrip("/")


def shown_url(url: str) -> str:
    """Return a base URL for display: without what is refused, which are credentials, and parameters, which may be a key."""
    try:
        return base_url(url)
    except ConfigurationError:
        scheme, separator, rest = url.partition("://")
        # A password may have a slash or a question mark.
        return f"{scheme}{separator}{re.split('[?#]', rest.rpartition('@')[2])[0]}"


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers that HTTP allows.

    :raises ConfigurationError: naming one that it does not
    """
    for name, value in headers.items():
        check_header(f"The header {name!r}", value)
    return dict(headers)


def check_header(what: str, value: str, *, widest: str = "\xff") -> None:
    """Refuse a value that no HTTP header can have; the message does not repeat it.

    :param widest: the highest character that is allowed
    :raises ConfigurationError: for control characters, and characters beyond ``widest``
    """
    if not value.isprintable() or value != value.strip() or not all(character <= widest for character in value):
        raise ConfigurationError(f"{what} has characters that HTTP does not allow, such as a line break or a space at an end.")


def credentials(token: str | None, login: str | None, password: str | None) -> AuthBase:
    """Return the ``auth`` object that adds a token, or login and password, to requests; it adds nothing if there is neither.

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
    # Without it, `.netrc` would be read.
    return BearerAuth(None)


def checked_certificate(certificate: str | None, key: str | None) -> tuple[str, str] | None:
    """Return the paths of a client's certificate and its private key; ``None`` if there is none.

    :param key: ``None`` if it is in the file of the certificate
    :raises ConfigurationError: when they cannot be used, or others can read the key
    """
    if certificate is None:
        if key is not None:
            raise ConfigurationError("A key is given without a certificate. Give both.")
        return None
    # A mistake in them would otherwise look like a broken connection.
    load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key)
    return certificate, key or certificate
