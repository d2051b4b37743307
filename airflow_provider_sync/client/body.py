"""Read the body of an answer in pieces: within a size limit, counting bytes, and undoing the compression of a proxy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Lock

import requests

from airflow_provider_sync.client.network_errors import body_errors
from airflow_provider_sync.client.refusals import not_a_sync_server
from airflow_provider_sync.client.time_limits import RequestTimeLimits
from airflow_provider_sync.exceptions import ProtocolError, SyncError
from airflow_provider_sync.protocol.too_large import too_large
from airflow_provider_sync.protocol.v1.compression import decompress

CHUNK_BYTES = 64 * 1024
MAX_ERROR_BYTES = 64 * 1024


@dataclass(slots=True)
class Traffic:
    """Numbers of requests and bytes sent and received so far.

    :ivar requests: requests sent, repeated ones included
    :ivar bytes_sent: bytes of their bodies
    :ivar bytes_received: bytes of the answers' bodies as they arrived, compressed
    """

    requests: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def count(self, *, requests: int = 0, sent: int = 0, received: int = 0) -> None:
        """Add to the counters; answers may be read in several threads."""
        with self._lock:
            self.requests += requests
            self.bytes_sent += sent
            self.bytes_received += received


class Body:
    """The answer to one request, whose body has not been read yet.

    :ivar response: status and headers
    :ivar url: the endpoint of the request
    :param time_limits: time limits of the request
    """

    def __init__(self, response: requests.Response, url: str, traffic: Traffic, time_limits: RequestTimeLimits) -> None:
        self.response = response
        self.url = url
        self._traffic = traffic
        self._time_limits = time_limits

    @property
    def content_type(self) -> str:
        """The media type of the body, without its parameters, in lower case."""
        return self.response.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def progress(self) -> None:
        """Record progress, which restarts the limit `max_silence`."""
        self._time_limits.progress()

    def met_lock(self) -> None:
        """Record that the server has waited in vain for a table: it need not wait as long for the client's next request."""
        self._time_limits.met_lock()

    def hurry(self) -> None:
        """Expect a short answer: limit the time for the rest of the body to the timeout."""
        self._time_limits.hurry()

    def chunks(self, *, limit: int, option: str | None = None, size: int = CHUNK_BYTES) -> Iterator[bytes]:
        """Yield the body as it arrives, without the compression that a proxy may have added.

        :param limit: largest body, in bytes
        :param option: the option that sets the limit, for messages
        :param size: largest piece, in bytes
        :raises IncompleteStreamError: when the connection breaks, the body is shorter than announced, or the next piece does not
            arrive in time
        :raises TransportError: when the request was given up
        :raises ProtocolError: when it is longer than ``limit``, or encoded in a way that was not asked for
        :raises GuardError: when it is longer than an ``option`` allows
        """
        encoding = self.response.headers.get("Content-Encoding", "").strip().lower()
        if encoding in ("", "identity"):
            return self._limited(limit, option, size)
        if encoding in ("gzip", "x-gzip"):
            return decompress(self._limited(limit, option, size), limit=limit, option=option)
        raise ProtocolError(
            f"{self.url} answered in Content-Encoding {encoding[:100]!r}, which was not asked for. Is there a proxy in between?"
        )

    def json(self, *, limit: int, option: str | None = None) -> bytearray:
        """Read the whole body of an answer in JSON, and close it.

        :param limit: largest body, in bytes
        :param option: the option that sets the limit, for messages
        :raises ProtocolError: for HTML, or a body of more than ``limit`` bytes
        :raises GuardError: for more bytes than an ``option`` allows
        """
        with self.response:
            text = bytearray()
            for chunk in self.chunks(limit=limit, option=option):
                text += chunk
        if bytes(text[:MAX_ERROR_BYTES]).lstrip()[:1] not in (b"{", b"["):
            raise not_a_sync_server(self.url, self.content_type, bytes(text[:MAX_ERROR_BYTES]))
        return text

    def beginning(self) -> bytes:
        """Read the beginning of an error's body, for no longer than the timeout; errors while reading are ignored.

        :return: at most :data:`MAX_ERROR_BYTES`
        """
        self.hurry()
        read = bytearray()
        try:
            for chunk in self.chunks(limit=MAX_ERROR_BYTES):
                read += chunk
        except SyncError:
            pass
        return bytes(read)

    def _limited(self, limit: int, option: str | None, size: int) -> Iterator[bytes]:
        received = 0
        with body_errors(self.url):
            # Not through requests, which would decompress without a limit.
            for chunk in self.response.raw.stream(size, decode_content=False):
                self._time_limits.check()
                received += len(chunk)
                self._traffic.count(received=len(chunk))
                if received > limit:
                    raise too_large(limit, option, what=f"The answer of {self.url}")
                yield chunk
