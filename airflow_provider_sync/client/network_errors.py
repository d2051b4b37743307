"""Translate exceptions of requests and urllib3 into errors of this package."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import BadStatusLine, HTTPException, IncompleteRead, LineTooLong, RemoteDisconnected
from ssl import SSLCertVerificationError, SSLError

import requests
import urllib3

from airflow_provider_sync.exceptions import ConfigurationError, IncompleteStreamError, ProtocolError, ServerError, TransportError

# Exceptions that the libraries also raise for an answer that is not HTTP, such as a chunk of a negative size.
_MALFORMED = (urllib3.exceptions.HTTPError, HTTPException, ValueError, LookupError, OverflowError)

_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")
"""OpenSSL's reasons for an answer in plain HTTP, depending on its version."""

_OTHER_NAME = "Give a URL with a name that it is for."
_REMEDIES = {10: "Have it renewed at the server.", 62: _OTHER_NAME, 64: _OTHER_NAME}
"""Advice about an invalid certificate, by OpenSSL's code (X509_STORE_CTX_get_error(3)); others have an unknown authority."""


@contextmanager
def request_errors(url: str) -> Iterator[None]:
    """Translate errors of a request to ``url``, until its answer begins."""
    try:
        yield
    except (requests.exceptions.InvalidHeader, requests.exceptions.InvalidProxyURL) as error:
        if error.args and isinstance(error.args[0], urllib3.exceptions.InvalidHeader):
            # Raised for a header of the answer, not of the request.
            raise _not_http(url, error.args[0]) from error
        # The exception's text quotes the value, which may be secret.
        raise ConfigurationError(f"A header or the proxy for {url} is not valid.") from None
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        if _has_proxy(url):
            raise ConfigurationError(f"The URL {url} or that of its proxy is not valid. {_PROXY}") from error
        raise ConfigurationError(f"The URL {url} is not valid.") from error
    except requests.exceptions.Timeout as error:
        raise TransportError(f"{url} did not answer in time. Raise the timeout if the server needs longer.") from error
    except requests.exceptions.RequestException as error:
        reason = _reason(error)
        if isinstance(reason, SSLCertVerificationError):
            raise ConfigurationError(
                f"The certificate of {url} is not trusted: {reason.verify_message.rstrip('.')}."
                f" {_REMEDIES.get(reason.verify_code, 'Give the path of a bundle with its authority as `verify`.')}"
            ) from error
        if isinstance(reason, SSLError) and reason.library == "X509":
            raise ConfigurationError(
                f"Cannot connect to {url}: the bundle of authorities has no certificate that can be read. Give the path of one in"
                " PEM format as `verify`, or in the environment as REQUESTS_CA_BUNDLE."
            ) from error
        if _tunnel_status(reason) == "407":
            raise proxy_refusal(url) from error
        raise TransportError(f"No answer from {url}: {_text(reason)}. {_advice(url, reason)}") from error
    except _MALFORMED as error:
        raise _not_http(url, error) from error
    except OSError as error:  # requests raises it for a bundle of authorities that is not there
        raise ConfigurationError(f"Cannot connect to {url}: {error}") from error


@contextmanager
def body_errors(url: str) -> Iterator[None]:
    """Translate errors while the body of an answer from ``url`` arrives."""
    try:
        yield
    except urllib3.exceptions.ReadTimeoutError as error:
        # The answer had begun; like a cut one, it can be requested again.
        raise IncompleteStreamError(
            f"{url} stopped sending for too long. Raise the timeout if the server needs longer."
        ) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise IncompleteStreamError(f"The answer of {url} broke off: {_text(_reason(error))}. Try again.") from error
    except _MALFORMED as error:
        raise _not_http(url, error) from error


def proxy_refusal(url: str) -> ServerError:
    """Return the error of a proxy that answered 407, to a request or to the CONNECT before it."""
    return ServerError(
        f"The proxy before {url} wants a user and a password (status 407). Give them, percent-encoded, in HTTP_PROXY, HTTPS_PROXY"
        " or ALL_PROXY, as in http://USER:PASSWORD@host:port, or add the host to NO_PROXY.",
        407,
    )


def proxy_advice(url: str) -> str:
    """Return advice, after a space, about an answer that is not a sync server's; empty if no proxy can have given it."""
    return f" {_VARIABLES}, which may have answered itself: correct it, or add the host to NO_PROXY." if _has_proxy(url) else ""


def _tunnel_status(reason: BaseException) -> str | None:
    """Return the status with which a proxy refused to connect, which the standard library gives only in the error's text."""
    found = re.match(r"Tunnel connection failed: (\d+)", str(reason)) if isinstance(reason, OSError) else None
    return found[1] if found else None


_VARIABLES = "The environment names a proxy (HTTP_PROXY, HTTPS_PROXY or ALL_PROXY)"
_PROXY = f"{_VARIABLES}: correct it, or add the host to NO_PROXY."


def _has_proxy(url: str) -> bool:
    """Whether the environment sends requests to ``url`` through a proxy."""
    return requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url)) is not None


def _advice(url: str, reason: BaseException) -> str:
    """Return advice about a server that did not answer."""
    tls = url.startswith("https:")
    if isinstance(reason, SSLError) and reason.reason in _NOT_TLS:
        return "If the server does not speak TLS, its URL begins with http://."
    if tls and isinstance(reason, (RemoteDisconnected, SSLError)):
        return (
            "If the server wants a certificate of its clients, give one that it accepts as `certificate` and `key`. Its log says"
            " why it refused one."
        )
    if isinstance(reason, RemoteDisconnected):
        return "If the server speaks TLS, its URL begins with https://."
    return f"Is the server running, and the URL right?{' ' + _PROXY if _has_proxy(url) else ''}"


# For exceptions whose texts mention Python internals.
_WORDS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    ((IncompleteRead, urllib3.exceptions.IncompleteRead), "it ended before it was complete"),
    (RemoteDisconnected, "the connection was closed without an answer"),
    (urllib3.exceptions.InvalidChunkLength, "a chunk of it has no valid length"),
    (LineTooLong, "a line of its head is too long"),
    (BadStatusLine, "its first line is none of HTTP"),
    (urllib3.exceptions.InvalidHeader, "a line of its head is not valid"),
    (urllib3.exceptions.ProxyError, "the proxy did not let it through"),
    (urllib3.exceptions.SSLError, "the encrypted connection failed"),
    (urllib3.exceptions.DecodeError, "its content cannot be decompressed"),
    # Without a cause, it is raised between two chunks, where the size of the next one is expected.
    (urllib3.exceptions.ProtocolError, "it ended before it was complete"),
    (HTTPException, "its head is not valid"),
    ((ValueError, LookupError, OverflowError), "a number or a text in it is not valid"),
)


def _not_http(url: str, error: BaseException) -> ProtocolError:
    return ProtocolError(f"The answer of {url} is not valid HTTP: {_text(error)}. Is there a proxy, or another service?")


def _reason(error: BaseException) -> BaseException:
    """Return the innermost exception: the texts of its wrappers are long, and may have a proxy's password in them."""
    seen = {id(error)}
    while True:
        inner = next(
            (
                candidate
                for candidate in (getattr(error, "reason", None), error.__cause__, *error.args, _context(error))
                if isinstance(candidate, BaseException) and id(candidate) not in seen
            ),
            None,
        )
        if inner is None:
            return error
        seen.add(id(inner))
        error = inner


def _context(error: BaseException) -> BaseException | None:
    # Only for wrappers: the context of any other exception may be an unrelated one that was being handled. One that was left out
    # on purpose (`from None`) is a detail: of an answer in chunks that was cut, that an empty line is no number.
    if error.__suppress_context__:
        return None
    wraps = isinstance(error, (requests.exceptions.RequestException, urllib3.exceptions.HTTPError))
    return error.__context__ if wraps else None


def _text(error: BaseException) -> str:
    if status := _tunnel_status(error):
        return f"the proxy refused to connect, with status {status}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return next((words for kinds, words in _WORDS if isinstance(error, kinds)), "the connection ended")
