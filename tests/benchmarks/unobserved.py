"""``airflow-sync`` without accounts of requests, and so without access log, audit log and metrics: to measure what these cost."""

from __future__ import annotations

import sys
from typing import Any

from starlette.types import Receive, Scope, Send

from airflow_provider_sync.cli.main import main
from airflow_provider_sync.server.observability.accounting import Accounting
from airflow_provider_sync.server.observability.request_account import RequestAccount


async def _pass_on(self: Accounting, scope: Scope, receive: Receive, send: Send) -> None:
    await self._app(scope, receive, send)


def _as_they_are(_account: RequestAccount, items: Any) -> Any:
    return items


if __name__ == "__main__":
    Accounting.__call__ = _pass_on  # type: ignore[method-assign]  # there is no option that switches all of it off
    for name in ("counting_rows", "counting_tables", "counting_files"):
        setattr(RequestAccount, name, _as_they_are)
    sys.exit(main())
