"""A server as existing installations are, over a real database: pages by OFFSET, no snapshot, the database's own time zone."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import sqlalchemy
from sqlalchemy.pool import NullPool

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.protocol.v1 import EMPTY, NULL
from airflow_provider_sync.protocol.v1.numbers import php_float
from airflow_provider_sync.protocol.v1.rows import RowEncoder
from airflow_provider_sync.protocol.v1.table_hash import TableHash
from tests.server_thread import Silent, serving

PAGE_ROWS = 10


class PagingServer:
    """Offers every table of a database under its own name; rows are ordered by the primary key, the hash as well.

    :ivar requests: endpoint and fields of what was asked
    :ivar before_page: called before each page with its number, from 0, in each answer; and whatever it does, the next page sees
    :ivar before_hash: called before each hash is computed
    :ivar can_hash: whether the database has SHA1; existing servers answer 500 otherwise
    :ivar cut: answers that break off after their first page
    :ivar warning: bytes that PHP writes before the body, as it does with ``display_errors``
    """

    def __init__(self, engine: sqlalchemy.Engine) -> None:
        self.engine = engine
        self.url = ""
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.before_page: Callable[[int], None] = lambda page: None
        self.before_hash: Callable[[], None] = lambda: None
        self.can_hash = True
        self.cut = 0
        self.warning = b""

    def asked(self, endpoint: str) -> int:
        """How often an endpoint was asked."""
        return sum(asked == endpoint for asked, _ in self.requests)

    def answer(self, handler: BaseHTTPRequestHandler, endpoint: str, fields: dict[str, str]) -> None:
        """Answer one request."""
        self.requests.append((endpoint, fields))
        name, known = fields.get("config_name", ""), fields.get("hash")
        if endpoint not in ("/getTableHash", "/getTable"):
            _send(handler, 404, b'{"message":"The route could not be found."}')
        elif (endpoint == "/getTableHash" or known is not None) and not self.can_hash:
            _send(handler, 500, b'{"message":"Server Error"}')
        elif endpoint == "/getTableHash":
            _send(handler, 200, json.dumps({"hash": self._hash(name)}).encode())
        elif known is not None and known == self._hash(name):
            _send(handler, 304, b"")
        else:
            self._rows(handler, name)

    def _rows(self, handler: BaseHTTPRequestHandler, name: str) -> None:
        cut = self.cut > 0
        self.cut -= cut
        handler.send_response(200)
        handler.send_header("Content-Type", "application/octet-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("Connection", "close")
        handler.end_headers()
        gzip = zlib.compressobj(9, wbits=31)
        if self.warning:
            _chunk(handler, self.warning)
        for columns, rows in self._pages(name):
            # As the real one, with output that leaves at once.
            _chunk(handler, gzip.compress(RowEncoder(columns).encode(rows)) + gzip.flush(zlib.Z_SYNC_FLUSH))
            if cut:
                handler.close_connection = True
                return
        _chunk(handler, gzip.flush())
        handler.wfile.write(b"0\r\n\r\n")

    def _pages(self, name: str) -> Iterator[tuple[Sequence[str], Sequence[tuple[Any, ...]]]]:
        order = ", ".join(self._key(name))
        page = 0
        while True:
            self.before_page(page)
            with self.engine.connect() as connection:
                found = connection.exec_driver_sql(
                    f"SELECT * FROM {name} ORDER BY {order} LIMIT {PAGE_ROWS} OFFSET {page * PAGE_ROWS}"
                )
                columns, rows = list(found.keys()), [tuple(map(_value, row)) for row in found]
            if not rows:
                return
            yield columns, rows
            page += 1

    def _key(self, name: str) -> Sequence[str]:
        key: Sequence[str] = sqlalchemy.inspect(self.engine).get_pk_constraint(name)["constrained_columns"]
        return key

    def _hash(self, name: str) -> str:
        self.before_hash()
        if self.engine.dialect.name == "sqlite":
            chain = TableHash()
            with self.engine.connect() as connection:
                for row in connection.exec_driver_sql(f"SELECT * FROM {name} ORDER BY rowid"):
                    chain.update([[_sqlite_field(value) for value in row]])
            return chain.hexdigest()
        columns = [column["name"] for column in sqlalchemy.inspect(self.engine).get_columns(name)]
        fields = ", ".join(f"IFNULL(`{column}`, '{NULL.decode()}')" for column in columns)
        with self.engine.connect() as connection:
            connection.exec_driver_sql("SET @crc = ''")
            connection.exec_driver_sql(
                f"SELECT MIN(LENGTH(@crc := SHA1(CONCAT_WS('|', @crc, {fields})))) FROM {name} USE INDEX (PRIMARY)"
            ).all()
            return str(connection.exec_driver_sql("SELECT @crc").scalar() or EMPTY)


@contextmanager
def paging_server(url: str) -> Iterator[PagingServer]:
    """Run such a server on a free port of the loopback.

    :param url: of its database, whose sessions are left as they are
    """
    parsed = open_engine(url).url
    options = {"charset": "utf8mb4"} if parsed.get_backend_name() in ("mysql", "mariadb") else {"check_same_thread": False}
    engine = sqlalchemy.create_engine(parsed, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=options)
    server = PagingServer(engine)

    class Handler(Silent, BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            server.answer(self, "/" + self.path.rpartition("/")[2], dict(parse_qsl(body, keep_blank_values=True)))

        def do_GET(self) -> None:
            _send(self, 404, b'{"message":"The route could not be found."}')

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{listening.server_port}/api/sync"
    try:
        with serving(listening):
            yield server
    finally:
        engine.dispose()


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    if status != 304:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def _chunk(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    if data:
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        handler.wfile.flush()


def _value(value: Any) -> Any:
    return value if isinstance(value, int | float | str | bytes | None) else str(value)


def _sqlite_field(value: Any) -> bytes:
    if value is None:
        return NULL
    if isinstance(value, bytes):
        return value
    return (php_float(value) if isinstance(value, float) else str(value)).encode()
