"""The access log: one line per request, after the last byte of its answer."""

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
"""Endpoints that are asked every few seconds, whose lines are for ``debug``."""

_WHO_AND_WHAT = ("address", "token", "method", "endpoint")
"""What stands at the beginning of a line, without its name."""

_MAX_NAME = 100
_MAX_NAMES = 20
"""Names in a line; of those beyond, it has the number."""


def write_access_line(scope: Scope, account: RequestAccount) -> None:
    """Log a request: who asked for what, and what it got. Never a token, a value or a path of a file."""
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
    # A path that is no endpoint is anything that anybody sends.
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
    """Return a value as one word, with quotes as JSON has them if it has spaces or quotes itself."""
    text = ",".join(value) if isinstance(value, list) else str(value).lower() if isinstance(value, bool) else str(value)
    # A path may look like the words behind it: `/x status=200`.
    return json.dumps(text, ensure_ascii=False) if " " in text or '"' in text or not text else text
