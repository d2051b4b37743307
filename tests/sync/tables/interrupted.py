"""A client that tells what it asks for, and lets something happen meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.client.many_tables_stream import ManyTablesAnswer
from airflow_provider_sync.client.table_streams import DescribedAnswer, RowDigestsAnswer, RowsAnswer
from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.protocol.v2.messages import DescribeTable, DescribeTables, DigestRows, GetRows
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync import sync_tables
from tests.sync.link import Link

Request = DescribeTable | DescribeTables | DigestRows | GetRows
Kinds = type | tuple[type, ...] | Callable[[Request], bool]


class Interrupted(SyncClient):
    """A client that does something just before one kind of request, a number of times.

    :ivar asked: every request, in order
    """

    asked: list[Request]

    def interrupt(self, before: Kinds, times: int, action: Callable[[int], None]) -> None:
        """Set what happens.

        :param before: kinds of requests, or which
        """
        self.asked = []
        self.before = before if callable(before) and not isinstance(before, type) else partial(_is_one_of, before)
        self.left, self.action = times, action

    def _act(self, request: Request) -> None:
        self.asked.append(request)
        if self.left and self.before(request):
            self.left -= 1
            self.action(self.left)

    def describe_table(self, request: DescribeTable) -> DescribedAnswer:
        """Act, then ask."""
        self._act(request)
        return super().describe_table(request)

    def describe_tables(self, request: DescribeTables) -> ManyTablesAnswer:
        """Act, then ask."""
        self._act(request)
        return super().describe_tables(request)

    def digest_rows(self, request: DigestRows) -> RowDigestsAnswer:
        """Act, then ask."""
        self._act(request)
        return super().digest_rows(request)

    def get_rows(self, request: GetRows, *, columns: int | None = None) -> RowsAnswer:
        """Act, then ask."""
        self._act(request)
        return super().get_rows(request, columns=columns)


def _is_one_of(kinds: type | tuple[type, ...], request: Request) -> bool:
    return isinstance(request, kinds)


def interrupted(
    link: Link,
    before: Kinds,
    times: int,
    action: Callable[[int], None],
    options: dict[str, Any] | None = None,
    protocol: str = "2",
) -> tuple[TableReport, list[Request]]:
    """Sync the table ``t`` while ``action`` is called before requests of these kinds; return the report and what was asked."""
    with link.client("t") as client, Interrupted(client.url, protocol=protocol, retries=0) as other:
        other.interrupt(before, times, action)
        (report,) = sync_tables(other, [table_from_options("t", options or {})], link.target.database)
        return report, other.asked
