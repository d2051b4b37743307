"""Errors of the server that have an HTTP answer of their own.

::

    HttpError
    ├── AmbiguousLength      400    a head that programs read differently
    ├── Unauthenticated      401    no token, or one that the server does not know
    ├── OnlyFromHere         403    metrics, asked for from another machine without a token
    ├── SentByWebPage        403    a browser sends what a page of others tells it to
    ├── RequestTooSlow       408    a body that does not arrive
    ├── FileInMotion         409    a file that changes while it is read
    ├── SnapshotEnded        410    a snapshot that is not held, or not here
    ├── RequestTooLarge      413    a body above the limit
    ├── HostNotServed        421    a name that this server does not have
    ├── TooManyOfAddress     429    more requests in a minute than an address may send
    ├── TooManyRefused       429    too many answers to wrong tokens are already delayed
    ├── HeadTooLarge         431    a head above the limit
    ├── CannotServe          500    the data is offered, and cannot be read as things are
    ├── RequestDamaged       503    a body that is not what its client digested
    ├── TooManyBytes         503    bodies of requests take as much memory as they may
    ├── TooManyRequests      503    as many requests as may be at work
    ├── TooManyScans         503    as many requests read one database as may
    ├── TooManySnapshots     503    as many snapshots as may be held
    └── RequestEnded         503    the server ended the request: it took too long, or the server stops

How an answer is written is in :mod:`.error_answers`. Fields that break a rule are
:class:`~airflow_provider_sync.protocol.v1.requests.InvalidRequest`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

RETRY_AFTER_SECONDS = 5
"""When a client that was turned away may try again."""

_LATER = MappingProxyType({"Retry-After": str(RETRY_AFTER_SECONDS)})
# The rest of the body is not read, so the connection cannot be used again.
_CLOSE = MappingProxyType({"Connection": "close"})
_WHEN = f"Try again in {RETRY_AFTER_SECONDS} seconds"


class HttpError(Exception):
    """An error with a status; its text is the message that the client gets.

    :param values: what stands in the places of :attr:`message`, in their order
    :cvar status: of the answer
    :cvar message: the text, with ``{}`` for each value
    :ivar headers: that the answer has besides
    :cvar logged: whether the log gets a line
    """

    status: ClassVar[int] = 500
    message: ClassVar[str] = "{}"
    headers: Mapping[str, str] = MappingProxyType({})
    logged: ClassVar[bool] = False

    def __init__(self, *values: object) -> None:
        super().__init__(self.message.format(*values))


class AmbiguousLength(HttpError):
    """The head of a request says in two ways where its body ends."""

    status = 400
    # The next request on this connection cannot be told from the body of this one.
    headers = _CLOSE
    message = "A request has either Content-Length or Transfer-Encoding."


class Unauthenticated(HttpError):
    """A request has no token, or one that does not count; the answer is the same for all reasons.

    :ivar reason: what the request has, for the log only, such as "a wrong token"
    """

    status = 401
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})
    message = "Unauthenticated."

    def __init__(self, reason: str = "no token") -> None:
        super().__init__()
        self.reason = reason


class OnlyFromHere(HttpError):
    """Another machine asks for metrics, and the configuration has no token for that."""

    status = 403
    message = "Metrics are for this machine only. Set metrics.token in the server's configuration to read them."


class SentByWebPage(HttpError):
    """A browser sends a request of a page that is not of this machine: the name of the page's server."""

    status = 403
    message = "The server does not answer to {!r}, in Origin. Web pages cannot use this server."


class RequestTooSlow(HttpError):
    """The body of a request does not arrive: the seconds for which a client may stand still."""

    status = 408
    headers = _CLOSE
    message = "The body of the request did not come in time: nothing for {:g} seconds, or too little."


class FileInMotion(HttpError):
    """A file changed while it was read for its chunks; its client looks what it is now, and asks again.

    :param message: which one, and what to do
    """

    status = 409


class SnapshotEnded(HttpError):
    """A request names a snapshot that this process does not hold for its caller.

    :param table: that the request is about
    :param seconds: for which snapshots are held
    :param elsewhere: whether another process made the name
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
    """The body of a request is above the limit: that limit, and what a client should ask less of, as ``files``."""

    status = 413
    headers = _CLOSE
    message = "The request is larger than {} bytes. Ask for fewer {} at once."


class HostNotServed(HttpError):
    """A request is for a name, in its header ``Host``, that this server does not have."""

    status = 421
    message = (
        "The server does not answer to {!r}, in Host. Add the name to allowed_hosts in the server's configuration if it is right."
    )


class TooManyOfAddress(HttpError):
    """An address sends more requests in a minute than it may.

    :param limit: how many it may send
    :param seconds: until one more is answered
    """

    status = 429
    message = "More than {} requests a minute came from this address (limits.requests_per_minute). Try again in {} seconds."

    def __init__(self, limit: int, seconds: int) -> None:
        super().__init__(limit, seconds)
        self.headers = {"Retry-After": str(seconds)}


class TooManyRefused(HttpError):
    """So many answers to wrong tokens are delayed that this request is refused at once."""

    status = 429
    headers = _LATER
    message = "Too many requests with wrong tokens. Check the token, and try again later."


class HeadTooLarge(HttpError):
    """The head of a request is above the limit."""

    status = 431
    headers = _CLOSE
    message = "The head of a request may have at most {} bytes."


class CannotServe(HttpError):
    """The data is offered, and cannot be read as things are: what happened and what to do."""

    status = 500
    logged = True


class RequestDamaged(HttpError):
    """The body of a request is not what its client digested.

    A status of the 500s, since the same request may succeed: clients repeat what failed so.
    """

    status = 503
    headers = MappingProxyType({"Retry-After": "0"})
    logged = True
    message = "The request was damaged on its way: its body does not match its Content-Digest. Send it again."


class TooManyBytes(HttpError):
    """The bodies of all requests at work are too large together."""

    status = 503
    # The rest of the body is not read, so the connection cannot be used again.
    headers = MappingProxyType({**_LATER, **_CLOSE})
    logged = True
    message = f"The server works on requests of {{}} bytes already, and on no more at once. {_WHEN}."


class TooManyRequests(HttpError):
    """As many requests are at work as there may be."""

    status = 503
    headers = _LATER
    message = f"The server works on {{}} requests already, and no more at once (limits.requests). {_WHEN}."


class TooManyScans(HttpError):
    """As many requests read one database as may."""

    status = 503
    headers = _LATER
    logged = True
    message = f"The server reads this database for {{}} requests already, and for no more at once (limits.scans). {_WHEN}."


class TooManySnapshots(HttpError):
    """As many snapshots are held as there may be."""

    status = 503
    headers = _LATER
    message = (
        f"The server holds {{}} snapshots already, and no more at once (limits.snapshots). {_WHEN}, or sync without `consistent`."
    )


class RequestEnded(HttpError):
    """The server ended the request, since it took too long, or since the server stops: which of them, and what to do."""

    status = 503
    headers = _LATER
    logged = True
