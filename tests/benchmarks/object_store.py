"""An S3 server in this process (moto), which counts what is asked of it."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

KEYS = {"login": "access-key", "password": "secret-access-key"}
REGION = "us-east-1"
BUCKET = "company"


@dataclass(frozen=True)
class CountingStore:
    """A running S3 server with one bucket.

    :ivar url: of the server
    :ivar requests: how often each method was asked for: ``GET`` for the content of objects, ``LIST`` for lists of their names
    """

    url: str
    requests: Counter[str]

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables that lead the connection ``store`` of Airflow here."""
        extra = {"endpoint_url": self.url, "region_name": REGION}
        return {"AIRFLOW_CONN_STORE": json.dumps({"conn_type": "aws", **KEYS, "extra": extra})}

    def fill(self, prefix: str, count: int, size: int) -> None:
        """Put objects into the bucket without HTTP."""
        backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        for number in range(count):
            key = f"{prefix}/folder-{number // 1000:03}/file-{number:06}"
            backend.put_object(BUCKET, key, b"%0*d" % (size, number))


@contextmanager
def counting_store() -> Iterator[CountingStore]:
    """Serve an empty bucket until the end of the block."""
    requests: Counter[str] = Counter()
    application = _counted(DomainDispatcherApplication(create_backend_app), requests)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Silent)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket(BUCKET, REGION)
    try:
        yield CountingStore(f"http://127.0.0.1:{server.server_port}", requests)
    finally:
        server.shutdown()
        thread.join()


class _Silent(WSGIRequestHandler):
    def log_request(self, *_: object) -> None:
        """Write no line for each request."""


def _counted(application: Callable[..., Iterable[bytes]], requests: Counter[str]) -> Callable[..., Iterable[bytes]]:
    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        about_object = environ["PATH_INFO"].strip("/").count("/") > 0
        requests[method if about_object or method != "GET" else "LIST"] += 1
        return application(environ, start_response)

    return answer
