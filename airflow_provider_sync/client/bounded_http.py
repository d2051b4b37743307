"""HTTP connections that limit the time and the bytes of an answer, however slowly a server sends.

requests and urllib3 limit only the wait between two pieces of an answer: they wait forever for a server that sends a byte of a
header, or an interim answer ``100 Continue``, from time to time. Each address of a host name gets the whole timeout. They also
read lines (sizes of chunks, trailers) of any length. Here each read of the socket, plain or TLS, gets the time that is left.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from http.client import HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from socket import SOCK_STREAM, getaddrinfo, socket
from typing import Any

from requests import Response, Session
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from airflow_provider_sync.client.time_limits import RequestTimeLimits
from airflow_provider_sync.exceptions import ProtocolError

MAX_HEAD_BYTES = 256 * 1024
"""Largest head of an answer, in bytes: interim answers, status line and headers. Servers usually allow 8 to 64 KiB."""

MAX_LINE_BYTES = 64 * 1024
"""Most bytes of lines (chunk sizes, trailers) between two pieces of a body."""

PIECE_BYTES = 64 * 1024
"""Bytes of a request body that are sent at once."""

GIVE_UP_SECONDS = 1.0
"""Seconds after which a wait notices that the request was given up."""

_ADVICE = "Check the URL: is there a sync server?"
_TIME_LIMITS: ContextVar[RequestTimeLimits] = ContextVar("time_limits")


@contextmanager
def limited_by(time_limits: RequestTimeLimits) -> Iterator[None]:
    """Apply time limits to the request that this thread sends inside the block, and to its answer."""
    token = _TIME_LIMITS.set(time_limits)
    try:
        yield
    finally:
        _TIME_LIMITS.reset(token)


def bounded_session() -> Session:
    """Return a session over such connections; it follows no redirect and keeps no cookie."""
    session = _Session()
    # The protocol has no cookies, and a server could set any number of them.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    adapter = _Adapter()
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


class _Session(Session):
    def get_redirect_target(self, resp: Response) -> None:
        """Return no redirect: requests would read its body without a size limit, and parse any address."""


class _Wire(io.RawIOBase):
    """Reads a socket within the time limits.

    :param file: result of ``socket.makefile``, which keeps the socket open
    """

    def __init__(self, file: io.RawIOBase, sock: socket) -> None:
        self._file = file
        self._sock = sock
        self._time_limits = _TIME_LIMITS.get(None)
        self._timeout = sock.gettimeout() or float("inf")
        self._head_until = time.monotonic() + self._timeout
        self._head_bytes: int | None = 0
        self._wait = 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        until = time.monotonic() + self._timeout if self._head_bytes is None else self._head_until
        while True:
            received = self._receive(buffer, until)
            if received is not None:
                break
        if self._head_bytes is not None:
            self._head_bytes += received
            if self._head_bytes > MAX_HEAD_BYTES:
                raise ProtocolError(f"The answer begins with more than {MAX_HEAD_BYTES} bytes of headers. {_ADVICE}")
        return received

    def _receive(self, buffer: Any, until: float) -> int | None:
        """Wait up to :data:`GIVE_UP_SECONDS`, so that giving up is noticed; return ``None`` when nothing has arrived."""
        if self._time_limits is not None:
            self._time_limits.check()
            until = min(until, self._time_limits.deadline)
        wait = min(until - time.monotonic(), GIVE_UP_SECONDS)
        if wait <= 0:
            raise TimeoutError("timed out")
        if wait != self._wait:
            self._wait = wait
            self._sock.settimeout(wait)
        try:
            return self._sock.recv_into(buffer)
        except TimeoutError:
            return None

    def end_head(self) -> None:
        """Apply the timeout to each read from now on, rather than to the whole head."""
        self._head_bytes = None

    def close(self) -> None:
        self._file.close()
        super().close()


class _Lines(io.BufferedReader):
    """Limits the length of lines, and the bytes of all lines between two pieces of the body."""

    most = MAX_HEAD_BYTES
    _bytes = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(MAX_LINE_BYTES + 1 if size is None or size < 0 else size)
        self._bytes += len(line)
        if self._bytes > self.most or len(line) > MAX_LINE_BYTES:
            raise ProtocolError(f"The answer has more than {MAX_LINE_BYTES} bytes between two pieces of its body. {_ADVICE}")
        return line

    def read(self, size: int | None = -1, /) -> bytes:
        self._bytes = 0
        return super().read(size)

    def read1(self, size: int = -1, /) -> bytes:
        self._bytes = 0
        return super().read1(size)


class _HTTPResponse(HTTPResponse):
    def __init__(self, sock: socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._wire = _Wire(self.fp.detach(), sock)
        self.fp = self._lines = _Lines(self._wire)

    def begin(self) -> None:
        super().begin()
        if len(lengths := set(self.headers.get_all("Content-Length", []))) > 1 or any("," in length for length in lengths):
            raise ProtocolError(f"The answer has more than one Content-Length. {_ADVICE}")
        self._wire.end_head()
        self._lines.most = MAX_LINE_BYTES


class _Bounded:
    response_class: type[HTTPResponse] = _HTTPResponse

    def send(self, data: Any) -> None:
        """Send a body piece by piece, each with a time limit of its own; stop when the request is given up."""
        if not isinstance(data, bytes):
            super().send(data)  # type: ignore[misc]  # that of a connection
            return
        for start in range(0, len(data), PIECE_BYTES):
            if time_limits := _TIME_LIMITS.get(None):
                time_limits.check()
            super().send(data[start : start + PIECE_BYTES])  # type: ignore[misc]  # that of a connection


class _Direct(_Bounded):
    def _new_conn(self: Any) -> socket:
        """Connect within the timeout, however many addresses the name has: each gets half of the remaining time, the last all."""
        host, timeout, until = self.host, self.timeout, time.monotonic() + self.timeout
        addresses = [host]
        with suppress(OSError):  # an unknown name raises it again below, where it is explained
            addresses = list(dict.fromkeys(found[4][0] for found in getaddrinfo(host, self.port, type=SOCK_STREAM)))
        try:
            while True:
                self.host = addresses.pop(0)
                left = max(until - time.monotonic(), 0.001)
                self.timeout = left / 2 if addresses else left
                try:
                    return super()._new_conn()  # type: ignore[misc,no-any-return]  # that of a connection
                except (ConnectTimeoutError, NewConnectionError):
                    if not addresses:
                        raise
        finally:
            self.host, self.timeout = host, timeout


class _Connection(_Direct, HTTPConnection):
    pass


class _TLSConnection(_Direct, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


_POOLS = {"http": _Pool, "https": _TLSPool}


@cache
def _through_socks(pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
    """Return the pool whose connections are bounded, too, and made by the proxy, which may also look up the name."""
    connection = type("_SOCKSConnection", (_Bounded, pool.ConnectionCls), {})
    return type("_SOCKSPool", (pool,), {"ConnectionCls": connection})


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if proxy.lower().startswith("socks"):
            pools = type(manager).pool_classes_by_scheme  # imported by requests, and only where PySocks is installed
            manager.pool_classes_by_scheme = {scheme: _through_socks(pool) for scheme, pool in pools.items()}
        else:
            manager.pool_classes_by_scheme = _POOLS
        return manager
