"""Requests that a store is too busy for."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from airflow_provider_sync.exceptions import FileError, SyncError, TransportError
from airflow_provider_sync.files.objects import throttling
from airflow_provider_sync.files.objects.object_storage import ObjectStorage
from airflow_provider_sync.files.objects.throttling import is_refused, is_throttled, unless_throttled
from tests.files.objects.s3_client import impatient_client
from tests.server_thread import Silent, serving

LISTING = b"""<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>bucket</Name><KeyCount>1</KeyCount>
<IsTruncated>false</IsTruncated><Contents><Key>root/x</Key><LastModified>2026-11-29T08:15:46.000Z</LastModified>
<ETag>"abc"</ETag><Size>3</Size></Contents></ListBucketResult>"""
SLOW_DOWN = b"<Error><Code>%s</Code><Message>Reduce your rate.</Message></Error>"


class BusyStore(ThreadingHTTPServer):
    """An S3 server that refuses requests with a status until it has refused enough."""

    def __init__(self, status: int, refusals: int) -> None:
        self.status, self.refusals, self.requests = status, refusals, 0
        super().__init__(("127.0.0.1", 0), Answer)


class Answer(Silent, BaseHTTPRequestHandler):
    """One answer of the server."""

    server: BusyStore

    def do_GET(self) -> None:
        """Refuse or list."""
        self.server.requests += 1
        refuses = self.server.requests <= self.server.refusals
        body = SLOW_DOWN % b"TooBusy" if refuses else LISTING
        self.send_response(self.server.status if refuses else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def busy_store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[BusyStore, ObjectStorage]]:
    """A busy server, and a directory on it; pauses are short, and the library does not try again by itself."""
    monkeypatch.setattr(throttling, "_MAX_PAUSE", 0.001)
    server = BusyStore(*request.param)
    with serving(server), impatient_client(f"http://127.0.0.1:{server.server_port}") as s3:
        yield server, ObjectStorage(s3, "s3://bucket/root")


@pytest.mark.parametrize("busy_store", [(503, 4), (429, 2), (500, 5)], indirect=True)
def test_a_request_that_is_throttled_is_repeated(busy_store: tuple[BusyStore, ObjectStorage]) -> None:
    """A request to a busy store is repeated until it is answered."""
    server, storage = busy_store
    (entry,) = storage.walk()
    assert (entry.path, entry.size, entry.version) == ("x", 3, b"abc")
    assert server.requests == server.refusals + 1


@pytest.mark.parametrize(
    ("busy_store", "requests", "kind"),
    [((503, 100), 6, TransportError), ((400, 100), 1, FileError)],
    indirect=["busy_store"],
)
def test_repeating_ends(busy_store: tuple[BusyStore, ObjectStorage], requests: int, kind: type[SyncError]) -> None:
    """A store that stays busy is a transient error in the end; other refusals are permanent."""
    server, storage = busy_store
    with pytest.raises(kind, match="Cannot list s3://bucket/root"):
        list(storage.walk())
    assert server.requests == requests


class HttpError(Exception):
    """An error as gcsfs and Azure's library have it."""

    def __init__(self, **attributes: object) -> None:
        self.__dict__.update(attributes)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (HttpError(code=429), True),
        (HttpError(code="503"), True),
        (HttpError(status_code=503), True),
        (HttpError(status=500), True),
        (HttpError(code=404), False),
        (HttpError(code="AccessDenied"), False),
        (ValueError(503), False),
    ],
)
def test_throttling_is_known_by_its_status(error: Exception, expected: bool) -> None:
    """The throttling statuses of all libraries are recognized, also in a chained error."""
    outer = OSError("wrapped")
    outer.__cause__ = error
    assert is_throttled(error) is expected
    assert is_throttled(outer) is expected
    loop = OSError("its own cause")
    loop.__cause__ = loop
    assert not is_throttled(loop)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (HttpError(code=400), True),
        (HttpError(status=403), True),
        (HttpError(code=408), False),
        (HttpError(code=409), False),
        (HttpError(code=412), False),
        (HttpError(code=429), False),
        (HttpError(code=500), False),
        (ValueError(400), False),
    ],
)
def test_refusals_are_known_by_their_status(error: Exception, expected: bool) -> None:
    """Refusals are distinguished from transient errors."""
    assert is_refused(error) is expected
    timeout = TimeoutError()
    timeout.__cause__ = error
    assert not is_refused(timeout)


def test_other_errors_are_not_repeated() -> None:
    """An error that is not throttling ends the work at once."""
    calls = []

    def call() -> None:
        calls.append(1)
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  # raised above
        unless_throttled(call)
    assert len(calls) == 1
