"""An S3 server in this process (moto), which counts what is asked of it."""

from __future__ import annotations

import json
import threading
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import FakeBucket, FakeKey, s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.server_thread import serving

KEYS = {"login": "access-key", "password": "secret-access-key"}
REGION = "us-east-1"
BUCKET = "company"

# No key goes on with it.
_LAST = "\U0010ffff"


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
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    backend.create_bucket(BUCKET, REGION)
    backend.list_objects_v2 = _SortedListing()
    with serving(server):
        yield CountingStore(f"http://127.0.0.1:{server.server_port}", requests)


class _SortedListing:
    """Lists pages of a bucket as moto does, but sorts its keys once, not once for each page: 100,000 objects have 100 pages.

    Keys are sorted anew when there are more or fewer of them. Delimiters and versions are not needed here.
    """

    def __init__(self) -> None:
        self._keys: list[str] = []
        self._lock = threading.Lock()

    def __call__(
        self,
        bucket: FakeBucket,
        prefix: str | None,
        delimiter: str | None,
        continuation_token: str | None,
        start_after: str | None,
        max_keys: int,
    ) -> tuple[list[FakeKey], bool, str | None]:
        """Return one page, whether there are more, and how to ask for the next."""
        with self._lock:
            if len(self._keys) != len(bucket.keys):
                self._keys = sorted(bucket.keys)
            keys, prefix = self._keys, prefix or ""
        first = bisect_right(keys, continuation_token or start_after or "")
        first = max(first, bisect_left(keys, prefix))
        last = min(first + max_keys, bisect_left(keys, prefix + _LAST))
        is_cut = last < len(keys) and keys[last].startswith(prefix)
        return [bucket.keys[key] for key in keys[first:last]], is_cut, keys[last - 1] if is_cut else None


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
