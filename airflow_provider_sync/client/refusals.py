"""Make the error for an unexpected answer of the server."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from json import loads
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from requests import Response

from airflow_provider_sync.client.network_errors import proxy_advice, proxy_refusal
from airflow_provider_sync.exceptions import ProtocolError, ServerError, SyncError
from airflow_provider_sync.near_names import did_you_mean
from airflow_provider_sync.printable import quoted
from airflow_provider_sync.protocol.v1.requests import UNKNOWN_DIRECTORY, UNKNOWN_TABLE
from airflow_provider_sync.protocol.v2.stream import MEDIA_TYPE

_NOTHING_SAID = "Server Error"
"""The message of a framework that does not give the reason."""

_OF_PROXIES = frozenset({502, 504, *range(520, 528), 530})
"""HTTP statuses of a proxy that got no answer from the server; those from 520 on are Cloudflare's."""

_OF_SERVERS = _OF_PROXIES | {503}
"""HTTP statuses that do not depend on what was requested, unless the answer says so."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a request is about, for messages.

    :ivar what: ``table`` or ``directory``, or words that need no name
    :ivar name: of the table or directory
    :ivar offered: names that the server offers to this client, as far as they are known
    """

    what: str
    name: str | None = None
    offered: Iterable[str] = ()

    def __str__(self) -> str:
        return self.what if self.name is None else f"{self.what} {self.name!r}"


def refusal(response: Response, body: bytes, *, url: str, subject: Subject) -> SyncError:
    """Return the error for an answer with an unexpected status.

    :param body: the beginning of its body
    :param url: the endpoint of the request
    :param subject: what was requested
    """
    status = response.status_code
    proxy = "" if isinstance(_json(body), dict) else proxy_advice(url)
    if 300 <= status < 400:
        return _redirect(response, url, status)
    if status in (401, 403):
        what = "access" if status == 401 else f"access to {subject}"
        return ServerError(f"The server refused {what} with status {status}. {_access_advice(response)}{proxy}", status)
    if status in (404, 405) and MEDIA_TYPE in response.request.headers.get("Accept", "") and _message_of_file(body) is None:
        return ServerError(
            f"There is no {_endpoint(url)} at {url.removesuffix(_endpoint(url))} (status {status}), which belongs to version 2 of"
            " the protocol. Earlier, version 2 was spoken here: the server was replaced by one that knows only version 1, or a"
            " proxy leads to several servers. Run the sync from its beginning, where the version is asked for; in a DAG, clear"
            " the first of its steps, too.",
            status,
        )
    if status in (404, 405):
        what = f"There is nothing at {url}" if status == 404 else f"{url} does not take POST"
        advice = "`airflow-sync serve` answers without a path, and behind a proxy or in Airflow with the path given there."
        return ServerError(f"{what} (status {status}). Check the URL {url.removesuffix(_endpoint(url))}: {advice}{proxy}", status)
    if status == 407:
        return proxy_refusal(url)
    if status == 410:
        return ServerError(_message(body) or f"{subject} is gone at the server (status 410).", status)
    if status == 422:
        return ServerError(_invalid(body, subject), status)
    if status == 429:
        return ServerError("The server has too many requests (status 429). Try again later.", status)
    if status == 200:
        return not_a_sync_server(url, response.headers.get("Content-Type", ""), body)
    if status < 400:
        return ProtocolError(
            f"{url} answered with status {status}, which is not a status of a sync server. Check the URL.{proxy}"
        )
    message, of_table = _message(body), _is_of_table(body)
    # If the reason is the server, all tables have one message, so that it is shown once.
    where = "" if status in _OF_SERVERS and not of_table else f" for {subject}"
    if message and message != _NOTHING_SAID:
        advice = "" if "its log" in message else " Look into its log."
        text = f"The server failed with status {status}{where}: {message.rstrip('.')}.{advice}"
        return ServerError(text, status, of_table=of_table)
    return ServerError(_unexplained(status, subject, where) + proxy, status)


def _unexplained(status: int, subject: Subject, where: str) -> str:
    """Return the message for a failure for which the answer gives no reason.

    :param where: words that name the subject, if it may be the reason
    """
    if status in _OF_PROXIES:
        return (
            f"A proxy before the server answered with status {status}: it cannot reach the server, or waited too long for its"
            " answer. Check that the server runs, and the time limits of the proxy."
        )
    if status == 413:
        return (
            f"The request for {subject} is larger than a proxy before the server allows (status 413). Raise its limit,"
            " which nginx calls client_max_body_size."
        )
    failed = f"The server failed with status {status}{where}"
    if status == 500:
        return (
            f"{failed}. Look into its log; some servers answer so for a table without a primary key, a view, or a missing file."
        )
    return f"{failed}. Look into its log, and into those of proxies before it."


def _access_advice(response: Response) -> str:
    if "Authorization" in response.request.headers:
        return "Check the token, or login and password, and what they may see."
    return (
        "This client sent no token, and no login. Give it a token: as `token` in client.yaml, as the password of Airflow's"
        " connection, or in the environment variable SYNC_TOKEN for `airflow-sync pull` and `init`."
    )


def check_framing(response: Response, url: str) -> None:
    """Refuse an answer with two lengths: a proxy may have used the other one (RFC 9112, section 6.3).

    :raises ProtocolError: for Content-Length together with Transfer-Encoding
    """
    if "Content-Length" in response.headers and "Transfer-Encoding" in response.headers:
        raise ProtocolError(
            f"{url} answered with both a Content-Length and a Transfer-Encoding, so that the end of its answer is uncertain."
            " Check the proxy between client and server."
        )


def not_a_sync_server(url: str, content_type: str, body: bytes) -> ProtocolError:
    """Return the error for an answer of another content type, such as a login page."""
    html = "html" in content_type or body.lstrip()[:1] == b"<"
    kind = "HTML" if html else quoted(content_type, 100) or "content without a type"
    return ProtocolError(
        f"{url} answered with {kind}. Check the URL: is there a sync server, or a login page in front of it?{proxy_advice(url)}"
    )


def _redirect(response: Response, url: str, status: int) -> ProtocolError:
    # A redirected POST would arrive as GET, without its fields.
    target = quoted(_address(response.headers.get("Location", "")))
    endpoint = _endpoint(url)
    if target.rstrip("/").endswith(endpoint):
        advice = f"It points to {target}: use that address, without {endpoint}, as the URL."
    elif target:
        advice = f"It points to {target}. Check the URL: is there a login page in front of the server?"
    else:
        advice = "Check the URL."
    return ProtocolError(f"{url} answered with a redirect (status {status}), which is not followed. {advice}")


def _address(location: str) -> str:
    """Return the address that a redirect points to, without credentials and query; empty for an invalid one."""
    try:
        parts = urlsplit(location)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return ""


def _invalid(body: bytes, subject: Subject) -> str:
    errors = _json(body)
    if isinstance(errors, dict) and isinstance(errors.get("errors"), dict):
        errors = errors["errors"]  # Laravel wraps them like this if the application changes its error handler
    if not isinstance(errors, dict):
        return f"The server refused the request for {subject} with status 422. Look into its log."
    messages = [str(entry) for entries in errors.values() for entry in (entries if isinstance(entries, list) else [entries])]
    if UNKNOWN_TABLE in messages or UNKNOWN_DIRECTORY in messages:
        offered = list(subject.offered)
        if subject.name in offered:
            return f"The server no longer offers a {subject}: its configuration, or what the token may see, has just changed."
        meant = did_you_mean(subject.name or "", offered) or " Check the name, and what the token may see."
        return f"The server does not offer a {subject}.{meant}"
    text = quoted(" ".join(message if message.endswith((".", "!", "?")) else f"{message}." for message in messages))
    return f"The server refused the request for {subject}: {text}"


def _message(body: bytes) -> str | None:
    answer = _json(body)
    message = answer.get("message") if isinstance(answer, dict) else None
    return quoted(message) if isinstance(message, str) else None


def _message_of_file(body: bytes) -> object:
    """Return what this package's server says of a file that is not there, which is a 404, too; ``None`` if it says nothing."""
    answer = _json(body)
    return answer.get("files") if isinstance(answer, dict) else None


def _is_of_table(body: bytes) -> bool:
    answer = _json(body)
    return isinstance(answer, dict) and answer.get("of_table") is True


def _json(body: bytes) -> Any:
    try:
        return loads(body)
    except (ValueError, RecursionError):
        # No JSON, an integer of thousands of digits, or brackets a thousand deep.
        return None


def _endpoint(url: str) -> str:
    return "/" + url.rpartition("/")[2]
