"""An S3 server (moto) whose answers a test can replace or spoil."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from moto.server import DomainDispatcherApplication, create_backend_app
from s3fs import S3FileSystem
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Response

from tests.files.objects.s3_client import impatient_client
from tests.server_thread import serving

BUCKET = "hostile"

DENIED = Response("<Error><Code>AccessDenied</Code><Message>No.</Message></Error>", 403)
SLOW_DOWN = Response("<Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>", 503)


@dataclass(frozen=True)
class Request:
    """A request to the store.

    :ivar key: of the object; empty for the bucket
    :ivar query: its parameters
    :ivar answer: gives what an honest store answers
    """

    method: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    answer: Callable[[], Response]


Disturbance = Callable[[Request], Response | None]
"""Returns what to answer instead, or ``None`` for the honest answer."""


@dataclass
class HostileStore:
    """A running server with an empty bucket.

    :ivar filesystem: its client, which does not try again by itself
    :ivar disturbance: asked about each request
    :ivar requests: method and key of each
    """

    filesystem: S3FileSystem
    disturbance: Disturbance = lambda _: None
    requests: list[tuple[str, str]] = field(default_factory=list)

    def uploads(self) -> list[str]:
        """Return the keys of uploads that were begun and neither completed nor given up."""
        return [upload["Key"] for upload in self.filesystem.list_multipart_uploads(BUCKET)]


@contextmanager
def hostile_store() -> Iterator[HostileStore]:
    """Serve until the end of the block."""
    application = DomainDispatcherApplication(create_backend_app)

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        key = environ["PATH_INFO"].lstrip("/").partition("/")[2]
        query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        headers = {name.removeprefix("HTTP_").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}

        def honest() -> Response:
            return Response.from_app(application, environ, buffered=True)

        store.requests.append((environ["REQUEST_METHOD"], key))
        found = store.disturbance(Request(environ["REQUEST_METHOD"], key, query, headers, honest)) or honest()
        return found(environ, start_response)

    server = make_server("127.0.0.1", 0, answer, threaded=True, request_handler=_Silent)
    with serving(server), impatient_client(f"http://127.0.0.1:{server.server_port}") as filesystem:
        store = HostileStore(filesystem)
        filesystem.mkdir(BUCKET)
        try:
            yield store
        finally:
            with emptied(store):
                pass
            filesystem.rm(BUCKET, recursive=True)


@contextmanager
def emptied(store: HostileStore) -> Iterator[HostileStore]:
    """Give a store for one test, after which it is honest and empty again."""
    try:
        yield store
    finally:
        store.disturbance = lambda _: None
        store.filesystem.invalidate_cache()
        for key in store.filesystem.find(BUCKET):
            store.filesystem.rm_file(key)
        for upload in store.filesystem.list_multipart_uploads(BUCKET):
            store.filesystem.abort_mpu(BUCKET, upload["Key"], upload["UploadId"])


class _Silent(WSGIRequestHandler):
    def log_request(self, *_: object) -> None:
        """Write no line for each request."""
