"""Requests over a real socket, with nothing between the test and the bytes."""

from __future__ import annotations

import logging
import socket
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
import pytest

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.protocol.v2.stream import accept

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Answer:
    """What came back: headers by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def send(url: str, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
    """Send one request to ``path`` under the base ``url``; raises IncompleteRead when the body is cut."""
    parts = urlsplit(url)
    with closing(HTTPConnection(parts.netloc, timeout=60)) as connection:
        connection.request(method, parts.path + path, body=body, headers=dict(headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())


def post(url: str, path: str, fields: Mapping[str, str] | Sequence[tuple[str, str]] = (), *, token: str | None = None) -> Answer:
    """Post a form."""
    headers = {"Content-Type": FORM, **({"Authorization": f"Bearer {token}"} if token is not None else {})}
    return send(url, "POST", path, body=urlencode(fields).encode(), headers=headers)


def ask(url: str, path: str, request: msgspec.Struct | bytes, *, token: str | None = None) -> Answer:
    """Post a request of version 2."""
    return ask_for(url, path, request, accept=accept(), token=token)


def ask_for(url: str, path: str, request: msgspec.Struct | bytes, *, accept: str, token: str | None = None) -> Answer:
    """Post a request of version 2 that says what answer it accepts."""
    body = request if isinstance(request, bytes) else msgspec.json.encode(request)
    headers = {"Content-Type": "application/json", "Accept": accept}
    return send(url, "POST", path, body=body, headers=headers | ({"Authorization": f"Bearer {token}"} if token else {}))


def open_stream(
    url: str,
    path: str,
    fields: Iterable[tuple[str, str]] | msgspec.Struct,
    *,
    version: str = "1.1",
    token: str | None = None,
) -> socket.socket:
    """Post a form, or a request of version 2, over a socket with a small buffer and leave the answer to the caller."""
    parts = urlsplit(url)
    connection = socket.socket()
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect((parts.hostname or "", parts.port or 80))
        body = msgspec.json.encode(fields) if isinstance(fields, msgspec.Struct) else urlencode(list(fields)).encode()
        headers = f"Host: {parts.netloc}\r\nContent-Type: {FORM}\r\nContent-Length: {len(body)}\r\n"
        headers += f"Authorization: Bearer {token}\r\n\r\n" if token else "\r\n"
        connection.sendall(f"POST {parts.path}{path} HTTP/{version}\r\n{headers}".encode() + body)
    except BaseException:
        connection.close()
        raise
    return connection


def read_all(connection: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    received = bytearray()
    while block := connection.recv(65536):
        received += block
    return bytes(received)


def run_sqlite(path: Path, script: str) -> None:
    """Run statements in a database file."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
        connection.commit()


def config(url: str | None = None, **settings: Any) -> ServerConfig:
    """Build a configuration with one connection."""
    return ServerConfig.from_dict({"connections": {"main": url} if url else {}, **settings})


def own_lines(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    """Return what this project has logged; other tests of a session may have made others talk, too."""
    records = [record for record in caplog.records if record.name.startswith("airflow_provider_sync")]
    return [record.getMessage() for record in records if record.levelno >= level]
