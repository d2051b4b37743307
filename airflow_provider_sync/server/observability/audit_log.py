"""The audit log: what was served to whom, one JSON object per answer that has data or digests."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from starlette.types import Scope

from airflow_provider_sync.logs.files import LogFile
from airflow_provider_sync.logs.formats import json_line
from airflow_provider_sync.server.observability.access_log import access_facts
from airflow_provider_sync.server.observability.request_account import RequestAccount


class AuditLog:
    """Appends to a file, which is never rotated here: what may be deleted, and when, is not this program's to decide.

    An answer that was cut has a line, too, with what had been made for it by then. A file that cannot be written stops no answer.

    :param path: of the file
    """

    def __init__(self, path: str) -> None:
        self._file = LogFile(path, max_bytes=0)

    def write(self, scope: Scope, account: RequestAccount) -> None:
        """Write the line of an answer, if it has data or digests."""
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
