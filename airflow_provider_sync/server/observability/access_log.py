"""The access log: one line per request, written after the last byte of its response."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

from starlette.types import Scope

from airflow_provider_sync.logs.formats import FIELDS
from airflow_provider_sync.printable import printable
from airflow_provider_sync.server.access.addresses import UNKNOWN, exact_address
from airflow_provider_sync.server.observability.request_account import RequestAccount

log = logging.getLogger(__name__)

PROBES = frozenset({"health", "ready", "metrics"})
"""Endpoints that are requested every few seconds, and so are logged at level DEBUG."""

_WHO_AND_WHAT = ("address", "token", "method", "endpoint")
"""The facts at the beginning of a line, which are written without their names."""

_MAX_NAME = 100
_MAX_NAMES = 20
"""Maximum number of table names in a line; further ones are only counted."""


def write_access_line(scope: Scope, account: RequestAccount) -> None:
    """Log a request: the sender, the request and the result. Never log a token, a value or the path of a file."""
    level = logging.DEBUG if account.endpoint in PROBES and account.status < 400 else logging.INFO
    if log.isEnabledFor(level):
        facts = dict(access_facts(scope, account))
        words = [f"{name}={_word(value)}" for name, value in facts.items() if name not in _WHO_AND_WHAT]
        log.log(
            level,
            "%s %s %s %s %s",
            facts["address"],
            _word(facts["token"] or "-"),
            facts["method"],
            _word(facts["endpoint"]),
            " ".join(words),
            extra={FIELDS: facts},
        )


def access_facts(scope: Scope, account: RequestAccount) -> Iterator[tuple[str, Any]]:
    """Yield the facts of a request by their names, without those that do not apply to it."""
    client = scope.get("client")
    yield "address", str(exact_address(client[0] if client else None) or UNKNOWN)
    yield "token", printable(account.token, _MAX_NAME)
    yield "method", printable(scope["method"], _MAX_NAME)
    # The path of an unknown endpoint is arbitrary text from the client.
    yield "endpoint", account.endpoint or printable(scope["path"], _MAX_NAME)
    if len(account.tables) == 1:
        yield "table", printable(account.tables[0], _MAX_NAME)
    elif account.tables:
        yield "tables", [printable(name, _MAX_NAME) for name in account.tables[:_MAX_NAMES]]
        if len(account.tables) > _MAX_NAMES:
            yield "tables_omitted", len(account.tables) - _MAX_NAMES
    if account.directory:
        yield "directory", printable(account.directory, _MAX_NAME)
        yield "files", account.files
    elif account.tables:
        yield "rows", account.rows
    yield "bytes", account.bytes_sent
    yield "seconds", round(account.seconds, 4)
    yield "status", account.status
    if account.error:
        yield "error", account.error
    if not account.complete:
        yield "complete", False


def _word(value: object) -> str:
    """Return a value as one word, quoted as in JSON if it contains spaces or quotes."""
    text = ",".join(value) if isinstance(value, list) else str(value).lower() if isinstance(value, bool) else str(value)
    # Otherwise a path such as `/x status=200` could forge the facts after it.
    return json.dumps(text, ensure_ascii=False) if " " in text or '"' in text or not text else text
