"""What the log has of a database's errors."""

from __future__ import annotations

import logging

import msgspec
import pytest
from sqlalchemy import make_url

from airflow_provider_sync.protocol.v2.messages import DescribeTable, DescribeTables, GetRows, RequestedSlice
from tests.server.tables.served_tables import served
from tests.server.wire import ask, post

FAILING = {"sqlite": "abs(id - 9223372036854775805)", "mysql": "(SELECT id FROM t)", "postgresql": "1 / (id - id)"}
"""What is no mistake of a query, and fails when its rows are read."""

SLICE = RequestedSlice(name="q")
REQUESTS: dict[str, tuple[str, msgspec.Struct]] = {
    "describe": ("/describeTable", DescribeTable(table_slice=SLICE)),
    "describe many": ("/describeTables", DescribeTables(table_slices=(SLICE, SLICE), max_rows=100_000)),
    "rows": ("/getRows", GetRows(table_slice=SLICE)),
}


@pytest.mark.parametrize("request_name", [*REQUESTS, "version 1"])
def test_one_line_without_sql(url: str, request_name: str, caplog: pytest.LogCaptureFixture) -> None:
    """A database error is one line of the log in our words; only DEBUG has the driver's message with SQL."""
    engine = make_url(url).get_backend_name().replace("mariadb", "mysql")
    if engine not in FAILING:
        pytest.skip("no such expression here")
    caplog.set_level(logging.DEBUG, "airflow_provider_sync")
    with served(url, q={"query": f"SELECT id, {FAILING[engine]} AS n FROM t", "primary": "id"}) as base:
        if request_name == "version 1":
            post(base, "/getTable", {"config_name": "q"})
        else:
            ask(base, *REQUESTS[request_name])
    said = [record.getMessage() for record in caplog.records if record.levelno > logging.DEBUG]
    errors = [line for line in said if "overflow" in line or "more than 1 row" in line or "division by zero" in line]
    assert errors, said
    assert not [line for line in said if "\n" in line or "SELECT" in line or "Background" in line or "sqlalche.me" in line]
    assert all(record.exc_info is None for record in caplog.records)
    assert [record for record in caplog.records if record.levelno == logging.DEBUG and ": the cause: " in record.getMessage()]
