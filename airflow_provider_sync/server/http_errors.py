"""Errors of the server that have their own HTTP response.

::

    HttpError
    ├── AmbiguousLength      400    both Content-Length and Transfer-Encoding, which programs read differently
    ├── Unauthenticated      401    no token, or one that the server does not know
    ├── OnlyFromHere         403    metrics requested from another machine without a token
    ├── SentByWebPage        403    a request that a browser sent for another site's page
    ├── RequestTooSlow       408    a body that does not arrive in time
    ├── UnstableFile         409    a file that changes while it is read
    ├── SnapshotEnded        410    a snapshot that is not held, or not by this process
    ├── RequestTooLarge      413    a body above the limit
    ├── HostNotServed        421    a Host that this server does not answer to
    ├── TooManyOfAddress     429    more requests per minute than an address may send
    ├── TooManyRefused       429    too many responses to wrong tokens are already delayed
    ├── HeadTooLarge         431    a head above the limit
    ├── CannotServe          500    the data is offered, but cannot be read at present
    ├── RequestDamaged       503    a body that does not match its Content-Digest
    ├── TooManyBytes         503    the bodies of active requests have reached the memory limit
    ├── TooManyRequests      503    the limit of active requests is reached
    ├── TooManyScans         503    the limit of requests that read one database is reached
    ├── TooManySnapshots     503    the limit of snapshots is reached
    └── RequestEnded         503    the server ended the request: it took too long, or the server stops

:mod:`.error_answers` makes the responses. Invalid fields of a request are
:class:`~airflow_provider_sync.protocol.v1.requests.InvalidRequest`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from airflow_provider_sync.protocol.v2.file_messages import UNSTABLE_FILE_STATUS

RETRY_AFTER_SECONDS = 5
"""Seconds after which a refused client may try again."""

_LATER = MappingProxyType({"Retry-After": str(RETRY_AFTER_SECONDS)})
# The rest of the body is not read, so the connection cannot be used again.
_CLOSE = MappingProxyType({"Connection": "close"})
_WHEN = f"Try again in {RETRY_AFTER_SECONDS} seconds"


class HttpError(Exception):
    """An error with a status; its text is the message that the client gets.

    :param values: the values for the placeholders of :attr:`message`, in their order
    :cvar status: HTTP status of the response
    :cvar message: the text, with ``{}`` for each value
    :ivar headers: additional headers of the response
    :cvar logged: whether the error is logged
    """

    status: ClassVar[int] = 500
    message: ClassVar[str] = "{}"
    headers: Mapping[str, str] = MappingProxyType({})
    logged: ClassVar[bool] = False

    def __init__(self, *values: object) -> None:
        super().__init__(self.message.format(*values))


class AmbiguousLength(HttpError):
    """The head of a request contains two conflicting lengths of its body."""

    status = 400
    # It is unclear where the next request on this connection begins, so the connection is closed.
    headers = _CLOSE
    message = "A request has either Content-Length or Transfer-Encoding."


class Unauthenticated(HttpError):
    """A request has no valid token; the response is the same for all reasons.

    :ivar reason: the reason, for the log only, such as "a wrong token"
    """

    status = 401
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})
    message = "Unauthenticated."

    def __init__(self, reason: str = "no token") -> None:
        super().__init__()
        self.reason = reason


class OnlyFromHere(HttpError):
    """Another machine requests metrics, and the configuration has no token for that."""

    status = 403
    message = "Metrics are for this machine only. Set metrics.token in the server's configuration to read them."


class SentByWebPage(HttpError):
    """A browser sends a request for a web page of another machine. Value: the host name of the page."""

    status = 403
    message = "The server does not answer to {!r}, in Origin. Web pages cannot use this server."


class RequestTooSlow(HttpError):
    """The body of a request does not arrive. Value: the seconds for which a client may stall."""

    status = 408
    headers = _CLOSE
    message = "The body of the request did not come in time: nothing for {:g} seconds, or too little."


class UnstableFile(HttpError):
    """A file changed while its chunks were computed; the client then lists the file again, and repeats the request.

    :param message: the file, and what to do
    """

    status = UNSTABLE_FILE_STATUS


class SnapshotEnded(HttpError):
    """A request names a snapshot that this process does not hold for its caller.

    :param table: the requested table
    :param seconds: maximum time for which snapshots are held
    :param elsewhere: whether the name is of a snapshot of another process
    """

    status = 410
    logged = True

    def __init__(self, table: str, seconds: float, *, elsewhere: bool) -> None:
        if elsewhere:
            super().__init__(
                f"Table {table!r}: this server process does not hold the snapshot of the run (`consistent`). Several processes"
                " answer at this address, or the server was restarted. With `consistent`, one process has to answer all"
                " requests of a run: run one, or have the proxy in front send each client to the same one. Then sync again."
            )
        else:
            super().__init__(
                f"Table {table!r}: the snapshot of the run (`consistent`) is not held any more. The server holds it for"
                f" {seconds:g} seconds (limits.snapshot_seconds), and only while its client is connected. Sync again; if the run"
                " takes longer, raise that limit, or sync fewer tables at once."
            )


class RequestTooLarge(HttpError):
    """The body of a request is above the limit. Values: the limit, and the items to request fewer of, such as ``files``."""

    status = 413
    headers = _CLOSE
    message = "The request is larger than {} bytes. Ask for fewer {} at once."


class HostNotServed(HttpError):
    """A request's ``Host`` header has a name that this server does not serve."""

    status = 421
    message = (
        "The server does not answer to {!r}, in Host. Add the name to allowed_hosts in the server's configuration if it is right."
    )


class TooManyOfAddress(HttpError):
    """An address sends more requests in a minute than it may.

    :param limit: maximum number of requests per minute
    :param seconds: seconds until the next request is allowed
    """

    status = 429
    message = "More than {} requests a minute came from this address (limits.requests_per_minute). Try again in {} seconds."

    def __init__(self, limit: int, seconds: int) -> None:
        super().__init__(limit, seconds)
        self.headers = {"Retry-After": str(seconds)}


class TooManyRefused(HttpError):
    """Too many responses to wrong tokens are already delayed, so this one is refused at once."""

    status = 429
    headers = _LATER
    message = "Too many requests with wrong tokens. Check the token, and try again later."


class HeadTooLarge(HttpError):
    """The head of a request is above the limit."""

    status = 431
    headers = _CLOSE
    message = "The head of a request may have at most {} bytes."


class CannotServe(HttpError):
    """The data is offered but cannot be read at present. Value: what happened and what to do."""

    status = 500
    logged = True


class RequestDamaged(HttpError):
    """The body of a request does not have the digest that its client sent.

    The status is in the 500s so that clients repeat the request, which may then succeed.
    """

    status = 503
    headers = MappingProxyType({"Retry-After": "0"})
    logged = True
    message = "The request was damaged on its way: its body does not match its Content-Digest. Send it again."


class TooManyBytes(HttpError):
    """The bodies of all active requests are too large together."""

    status = 503
    # The rest of the body is not read, so the connection cannot be used again.
    headers = MappingProxyType({**_LATER, **_CLOSE})
    logged = True
    message = f"The server works on requests of {{}} bytes already, and on no more at once. {_WHEN}."


class TooManyRequests(HttpError):
    """The maximum number of requests is active."""

    status = 503
    headers = _LATER
    message = f"The server works on {{}} requests already, and no more at once (limits.requests). {_WHEN}."


class TooManyScans(HttpError):
    """The maximum number of requests is reading the database."""

    status = 503
    headers = _LATER
    logged = True
    message = f"The server reads this database for {{}} requests already, and for no more at once (limits.scans). {_WHEN}."


class TooManySnapshots(HttpError):
    """The maximum number of snapshots is held."""

    status = 503
    headers = _LATER
    message = (
        f"The server holds {{}} snapshots already, and no more at once (limits.snapshots). {_WHEN}, or sync without `consistent`."
    )


class RequestEnded(HttpError):
    """The server ended the request because it took too long or the server stops. Value: the reason and what to do."""

    status = 503
    headers = _LATER
    logged = True
