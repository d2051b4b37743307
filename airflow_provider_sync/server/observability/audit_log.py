"""The audit log: which data was sent to whom, one JSON object per response with data or digests."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from starlette.types import Scope

from airflow_provider_sync.logs.files import LogFile
from airflow_provider_sync.logs.formats import json_line
from airflow_provider_sync.server.observability.access_log import access_facts
from airflow_provider_sync.server.observability.request_account import RequestAccount


class AuditLog:
    """Appends to a file, without rotating it: when audit records may be deleted is for the operator to decide.

    A response that was cut off has a line, too, with what had been produced by then. If the file cannot be written, requests are
    still answered.

    :param path: path of the file
    """

    def __init__(self, path: str) -> None:
        self._file = LogFile(path, max_bytes=0)

    def write(self, scope: Scope, account: RequestAccount) -> None:
        """Write a line for a response with data or digests."""
        if not account.has_content:
            return
        facts = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            **dict(access_facts(scope, account)),
            "complete": account.complete,
        }
        if account.tables:
            facts["tables"] = list(account.tables)
            facts.pop("table", None)
            facts.pop("tables_omitted", None)
        line = logging.LogRecord("audit", logging.INFO, "", 0, json_line(facts), None, None)
        self._file.handle(line)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
