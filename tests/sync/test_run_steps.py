"""The steps of a run with several tables on several databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sync.config import ClientConfig, table_from_options
from airflow_provider_sync.exceptions import SyncFailed, TableError, TransportError
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync import Opener, run_steps
from airflow_provider_sync.sync.run import RunPlan
from airflow_provider_sync.sync.tables.slice_values import ComparedTable


@pytest.mark.parametrize(
    ("error", "compared"),
    [(TransportError("down"), ["a", "c", "d"]), (TableError("odd"), ["a", "b", "c", "d"])],
    ids=["the server", "one table"],
)
def test_comparing_goes_on_after_a_failure(
    error: Exception, compared: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that fails keeps no other from being compared; a server that fails keeps only those of the same database."""
    tried: list[str] = []

    def compare_table(_client: Any, table: Any, *_: Any, **__: Any) -> Any:
        tried.append(table.name)
        if table.name == "a":
            raise error
        return ComparedTable(report=TableReport(name=table.name, status="unchanged"))

    monkeypatch.setattr(run_steps, "compare_table", compare_table)
    tables = {name: table_from_options(name, {}) for name in "abcd"}
    plan = RunPlan(
        tables={
            f"sqlite:///{tmp_path / 'one.db'}": (tables["a"], tables["b"]),
            f"sqlite:///{tmp_path / 'two.db'}": (tables["c"], tables["d"]),
        },
        directories=(),
    )
    with pytest.raises(SyncFailed) as failure:
        run_steps.compare_tables(ClientConfig(url="http://127.0.0.1:9", retries=0), plan, opener=Opener(), run="r")
    assert tried == compared
    assert [report.name for report in failure.value.reports] == compared
